/** How the rows of a picture lie on it, in raster order. */
export interface RowGrid {
  rows: number;
  columns: number;
}
