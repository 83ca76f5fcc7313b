/** Fields that a client may leave out or send as null: both mean the same, as they do in Go. */
export type Nullish<Fields> = { [Name in keyof Fields]?: Fields[Name] | null | undefined };
