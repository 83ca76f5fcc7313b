const [major = 0] = process.versions.node.split(".").map(Number);

/**
 * Whether the kernel limits a child's memory (RLIMIT_DATA). Elsewhere the child watches its own resident memory.
 * From Node 22 on V8 reserves hundreds of megabytes of writable address space that it does not use, and the kernel
 * counts them: a limit that leaves room for a picture would not be one.
 */
export const KERNEL_LIMITS_MEMORY: boolean = process.platform === "linux" && major < 22;
