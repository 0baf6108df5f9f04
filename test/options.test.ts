import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { XpsError } from '../src/errors.ts'
import { bytesOption, durationOption, integerOption, invalidOption, knownOptions, longestTime } from '../src/options.ts'

/** What a call that must fail fails with. */
function refusal(call: () => unknown): XpsError {
  try {
    call()
  } catch (error) {
    expect(error).toBeInstanceOf(XpsError)
    return error as XpsError
  }
  throw new Error('it was accepted')
}

describe('invalidOption', () => {
  it.each([
    ['text', "'text'"],
    [7, '7'],
    [Number.NaN, 'NaN'],
    [undefined, 'undefined'],
    [null, 'null'],
    [[1, 2], 'an array'],
    [{ a: 1 }, 'an object'],
    [() => 1, 'a function'],
    [Symbol('s'), 'Symbol(s)'],
  ])('says the name, what is allowed and what was given: %o', (given, shown) => {
    const error = invalidOption('pipe.limit', given, 'a number')
    expect(error.code).toBe('XPS_INVALID_OPTION')
    expect(error.message).toBe(`pipe.limit must be a number, got ${shown}`)
  })
})

describe('integerOption', () => {
  const range = { min: 1, max: 10 }

  it('takes the default only when nothing was given', () => {
    expect(integerOption('n', undefined, 99, range)).toBe(99)
    expect(integerOption('n', 5, 99, range)).toBe(5)
  })

  it('includes both ends of its range', () => {
    expect(integerOption('n', 1, 5, range)).toBe(1)
    expect(integerOption('n', 10, 5, range)).toBe(10)
  })

  it.each([0, 11, 1.5, Number.NaN, Number.POSITIVE_INFINITY, -1, '5', null])('refuses %o', (given) => {
    const error = refusal(() => integerOption('n', given as number, 5, range))
    expect(error.code).toBe('XPS_INVALID_OPTION')
    expect(error.message).toContain('n must be an integer from 1 to 10')
  })
})

describe('durationOption', () => {
  it('reaches from 1 ms to the longest that a timer can wait', () => {
    expect(durationOption('t', 1, 5)).toBe(1)
    expect(durationOption('t', longestTime, 5)).toBe(2_147_483_647)
    expect(refusal(() => durationOption('t', longestTime + 1, 5)).message).toContain('2147483648')
  })

  it('refuses 0 unless it is allowed', () => {
    expect(refusal(() => durationOption('t', 0, 5)).code).toBe('XPS_INVALID_OPTION')
    expect(durationOption('t', 0, 5, true)).toBe(0)
  })
})

describe('bytesOption', () => {
  it.each([
    [1, 1],
    [65_536, 65_536],
    ['1 B', 1],
    ['64 KB', 64_000],
    ['64 KiB', 65_536],
    ['64kib', 65_536],
    ['1.5 MB', 1_500_000],
    ['1 MiB', 1_048_576],
    ['2 GB', 2_000_000_000],
    ['1 GiB', 1_073_741_824],
    ['  3 KB  ', 3_000],
    ['0.001 KB', 1],
  ])('reads %o as %i', (given, bytes) => {
    expect(bytesOption('b', given)).toBe(bytes)
  })

  it.each([
    0,
    -1,
    1.5,
    Number.NaN,
    2 ** 53,
    '',
    '64',
    'KB',
    '-1 KB',
    '0 KB',
    '1 TB',
    '1e3 B',
    '1 KB extra',
    '99999999999999 GB',
  ])('refuses %o', (given) => {
    expect(refusal(() => bytesOption('b', given)).code).toBe('XPS_INVALID_OPTION')
  })

  it('refuses what is neither a number nor a text', () => {
    for (const given of [null, undefined, {}, []]) {
      expect(refusal(() => bytesOption('b', given as unknown as string)).code).toBe('XPS_INVALID_OPTION')
    }
  })

  it('reads every whole amount in every unit exactly', () => {
    const factors = { B: 1, KB: 1e3, MB: 1e6, GB: 1e9, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 8_000_000 }),
        fc.constantFrom(...(Object.keys(factors) as (keyof typeof factors)[])),
        fc.constantFrom('', ' ', '  '),
        (amount, unit, space) => {
          expect(bytesOption('b', `${amount}${space}${unit}`)).toBe(amount * factors[unit])
        },
      ),
      { numRuns: 100 },
    )
  })
})

describe('knownOptions', () => {
  it('accepts any selection of the known names', () => {
    expect(() => knownOptions('o', {}, ['a', 'b'])).not.toThrow()
    expect(() => knownOptions('o', { b: 1, a: undefined }, ['a', 'b'])).not.toThrow()
  })

  it('names the slip and the names there are', () => {
    const error = refusal(() => knownOptions('pipe options', { limt: 1 }, ['limit', 'end']))
    expect(error.code).toBe('XPS_INVALID_OPTION')
    expect(error.message).toBe("pipe options must be made of limit, end, got 'limt'")
  })
})
