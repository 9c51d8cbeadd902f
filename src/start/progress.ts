// Says what is being done while it is being done, and how long it took: on a terminal the line counts the seconds.

export interface Progress {
  /** Ends the step before, with its time, and begins this one. */
  step(what: string): void
  /** Ends the last step. */
  done(): void
}

/** Writes to `out`. Steps shorter than `quiet` milliseconds leave no line on a terminal, so that a warm start says little. */
export function progress(out: NodeJS.WriteStream = process.stdout, quiet = 300): Progress {
  let current: { what: string; began: number; shown: boolean } | undefined
  let ticker: NodeJS.Timeout | undefined
  // Whoever read us has gone (`wisp up | head`): the work goes on.
  out.on('error', () => undefined)
  const seconds = () => `${((performance.now() - (current?.began ?? 0)) / 1000).toFixed(1)} s`
  const done = () => {
    clearInterval(ticker)
    if (!current) return
    if (current.shown) out.write(`${out.isTTY ? '\r\x1b[K' : ''}  ${current.what}: ${seconds()}\n`)
    current = undefined
  }
  return {
    done,
    step(what) {
      done()
      current = { what, began: performance.now(), shown: false }
      ticker = setInterval(() => {
        if (!current || performance.now() - current.began < quiet) return
        if (out.isTTY) out.write(`\r\x1b[K  ${current.what} … ${seconds()}`)
        else if (!current.shown) out.write(`  ${current.what} …\n`)
        current.shown = true
      }, 100)
      ticker.unref()
    },
  }
}
