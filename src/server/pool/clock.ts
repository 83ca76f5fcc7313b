/** Time as the pool sees it; tests have one of their own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number;
  /** Calls back once after a while. Returns a function that takes it back. */
  after(milliseconds: number, callBack: () => void): () => void;
}

/** Longest time that a timer of Node.js can take; a longer one would fire at once. */
const LONGEST_TIMER = 2 ** 31 - 1;

export const SYSTEM_CLOCK: Clock = {
  now: () => Date.now(),
  after: (milliseconds, callBack) => {
    let timer: NodeJS.Timeout;
    const wait = (left: number): void => {
      const step = Math.min(left, LONGEST_TIMER);
      timer = setTimeout(() => (left > step ? wait(left - step) : callBack()), step);
      // A model that waits to be unloaded is no reason to keep a process alive.
      timer.unref();
    };
    wait(milliseconds);
    return () => clearTimeout(timer);
  },
};
