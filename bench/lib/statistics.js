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
 * Measures every subject in each round and resolves to the samples of each, by its name. A machine is faster at one
 * moment than at the next, so within a round the subjects take several short turns, whose mean is the sample: a sample
 * is long enough for its share of garbage collection, and yet was taken at the same time as the others. (Turns that
 * are too short measure how fast a cold cache fills.) The order turns round and round, and every other time backwards,
 * so that nobody always comes after the same one.
 */
export async function inTurn(subjects, rounds, measure, { turns = 1, told = () => {} } = {}) {
  const samples = Object.fromEntries(subjects.map((subject) => [subject.name, []]))
  for (let round = 0; round < rounds; round++) {
    const sums = Object.fromEntries(subjects.map((subject) => [subject.name, 0]))
    for (let turn = 0; turn < turns; turn++) {
      for (const subject of orderOf(subjects, round + turn)) sums[subject.name] += await measure(subject)
    }
    for (const { name } of subjects) samples[name].push(sums[name] / turns)
    told(round + 1)
  }
  return samples
}

function orderOf(subjects, turn) {
  const first = (turn >> 1) % subjects.length
  const order = [...subjects.slice(first), ...subjects.slice(0, first)]
  return turn % 2 === 1 ? order.reverse() : order
}

function quantile(values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)]
  return below + (sorted[Math.ceil(place)] - below) * (place % 1)
}
