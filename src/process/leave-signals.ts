/**
 * For entries of child processes: what asks a program to end is left to the parent, with which this process ends. A
 * terminal's Ctrl-C and service managers signal every process at once, and the parent may have an answer to finish.
 */
export function leaveSignalsToParent(): void {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => {});
}
