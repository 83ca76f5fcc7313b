/** A picture that a client uploaded, to be named by digest in later requests. */
export interface StoredMedia {
  /** SHA-256 of the bytes, 64 hex digits. */
  sha256: string;
  bytes: Uint8Array;
  expiresAt: Date;
}

/** Uploaded pictures, in memory, bounded, by client: nobody can name another's. */
export interface MediaStore {
  /**
   * @param sha256 of the bytes, if it is known already
   * @throws MullError `media_too_large`
   */
  put(client: string, bytes: Uint8Array, sha256?: string): StoredMedia;
  get(client: string, sha256: string): StoredMedia | undefined;
}
