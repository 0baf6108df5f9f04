/** What was most likely meant, of what there is: a slip of the pen, or a part of it; undefined if nothing is like it. */
export function nearest(given: string, known: readonly string[]): string | undefined {
  const text = given.toLowerCase()
  const slips = known.map((one) => [distance(text, one), one] as const).sort(([a], [b]) => a - b)
  const [least] = slips
  if (least !== undefined && least[0] <= Math.max(1, text.length / 4)) return least[1]
  if (text.length < 3) return undefined
  return (
    known.find((one) => one.startsWith(text) || text.startsWith(one)) ??
    known.find((one) => one.includes(text)) ??
    known.find((one) => text.includes(one))
  )
}

/** How many letters are wrong, missing, too many or in the wrong order (Damerau and Levenshtein). */
function distance(one: string, other: string): number {
  let before: number[] = []
  let above = Array.from({ length: other.length + 1 }, (_, index) => index)
  for (let row = 1; row <= one.length; row++) {
    const here = [row]
    for (let column = 1; column <= other.length; column++) {
      const same = one[row - 1] === other[column - 1]
      let least = Math.min(at(above, column) + 1, at(here, column - 1) + 1, at(above, column - 1) + (same ? 0 : 1))
      if (row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1]) {
        least = Math.min(least, at(before, column - 2) + 1)
      }
      here.push(least)
    }
    before = above
    above = here
  }
  return at(above, other.length)
}

function at(row: readonly number[], index: number): number {
  return row[index] as number
}
