// Takes measurements in turn and says what their middle is.

export function median(values) {
  return quantile(values, 0.5)
}

/** The middle, and between which two values half of them lie. */
export function summary(values) {
  return { median: median(values), low: quantile(values, 0.25), high: quantile(values, 0.75) }
}

/** The summary of the ratios, round by round: what disturbed a round disturbed both. */
export function ratio(ours, theirs) {
  return summary(ours.map((value, round) => value / theirs[round]))
}

/**
 * Measures every subject once per round and resolves to the samples of each, by its name. The order turns round and
 * round, and every other time backwards, so that nobody always comes after the same one.
 */
export async function inTurn(subjects, rounds, measure, told = () => {}) {
  const samples = Object.fromEntries(subjects.map((subject) => [subject.name, []]))
  for (let round = 0; round < rounds; round++) {
    const first = (round >> 1) % subjects.length
    const order = [...subjects.slice(first), ...subjects.slice(0, first)]
    if (round % 2 === 1) order.reverse()
    for (const subject of order) samples[subject.name].push(await measure(subject))
    told(round + 1, samples)
  }
  return samples
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)]
  return below + (sorted[Math.ceil(place)] - below) * (place % 1)
}
