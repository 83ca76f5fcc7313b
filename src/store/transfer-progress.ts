/**
 * One line of what `/api/pull`, `/api/push` and `/api/create` stream: Ollama's words, in Ollama's order. A pull says
 * `pulling manifest`, `pulling <12 hex>` for each blob, `verifying sha256 digest`, `writing manifest`,
 * `removing unused layers`, `success`.
 */
export interface TransferProgress {
  status: string;
  /** `sha256:<hex>` of the blob that this is about. */
  digest?: string;
  /** Bytes. */
  total?: number;
  /** Bytes that are on the disk, or at the other side. */
  completed?: number;
}

export type OnTransferProgress = (progress: TransferProgress) => void;
