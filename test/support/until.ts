import { expect } from 'vitest'

/**
 * Waits for a claim to come true; rejects with what was wrong with it last. The time is what a busy machine may need:
 * who wants to claim that something is quick measures it.
 */
export async function until(claim: () => void | Promise<void>, timeout = 15_000): Promise<void> {
  const end = performance.now() + timeout
  for (let pause = 1; ; pause = Math.min(pause * 1.5, 10)) {
    try {
      await claim()
      return
    } catch (error) {
      if (performance.now() > end) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/**
 * Waits until a number is above another, and then stays as it is for a while: that nothing moves any more is no event.
 */
export async function stands(number: () => number, above = -1): Promise<void> {
  const end = performance.now() + 15_000
  let before = Number.NaN
  for (let same = 0; same <= 20; ) {
    const now = number()
    same = now === before && now > above ? same + 1 : 0
    before = now
    if (performance.now() > end) expect.fail(`${now} does not stand`)
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
}
