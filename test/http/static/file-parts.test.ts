import { closeSync, openSync } from 'node:fs'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { XpsError } from '../../../src/errors.ts'
import type { ByteRange } from '../../../src/http/static/byte-ranges.ts'
import { FileParts } from '../../../src/http/static/file-parts.ts'
import { Pipe } from '../../../src/pipe/pipe.ts'
import { HandSink, pattern, turns } from '../../pipe/hand-ends.ts'
import { Site } from './site.ts'

const bytes = pattern(200_000)
let site: Site

beforeAll(async () => {
  site = await Site.of({ 'a.bin': bytes })
})
afterAll(() => site[Symbol.asyncDispose]())

function parts(pieces: readonly (Uint8Array | ByteRange)[], chunkSize: number): FileParts {
  return new FileParts(openSync(site.path('a.bin'), 'r'), 'a.bin', pieces, chunkSize)
}

describe('FileParts', () => {
  it('sends any parts with any texts between them, by reads of any size through a pipe of any limit', async () => {
    const text = fc.uint8Array({ maxLength: 50 })
    const range = fc.tuple(fc.nat(190_000), fc.nat(10_000)).map(([start, length]) => ({ start, end: start + length }))
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.oneof(text, range), { maxLength: 8 }),
        fc.integer({ min: 100, max: 50_000 }),
        fc.integer({ min: 100, max: 50_000 }),
        async (pieces, chunkSize, limit) => {
          const to = new HandSink()
          expect(await new Pipe(parts(pieces, chunkSize), to.sink, { limit }).closed).toBeUndefined()
          const wanted = pieces.map((one) => (one instanceof Uint8Array ? one : bytes.subarray(one.start, one.end)))
          expect(to.bytes.equals(Buffer.concat(wanted))).toBe(true)
        },
      ),
      { numRuns: 40 },
    )
    await site.settled()
  })

  it('is read only as fast as the sink takes it, and its memory is not changed meanwhile', async () => {
    const pieces = [Buffer.from('head'), { start: 0, end: 100_000 }, Buffer.from('between'), { start: 5, end: 50_000 }]
    const to = new HandSink()
    to.busy = true
    const pipe = new Pipe(parts(pieces, 10_000), to.sink, { limit: 10_000 })
    while (to.ends.length === 0) {
      const { length } = to.chunks
      await turns(2)
      expect(to.chunks.length).toBeLessThanOrEqual(length + 1)
      expect(pipe.buffered).toBeLessThanOrEqual(10_000)
      to.next()
    }
    expect(to.bytes).toHaveLength(4 + 100_000 + 7 + 49_995)
    await site.settled()
  })

  it('ends with an error when there is less than was promised', async () => {
    const to = new HandSink()
    const source = parts([{ start: 199_990, end: 200_010 }], 1_000)
    expect(await new Pipe(source, to.sink).closed).toMatchObject({ code: 'XPS_TRUNCATED' })
    expect(to.bytes).toHaveLength(10)
    await site.settled()
  })

  it('ends with an error when the file cannot be read', async () => {
    // A folder is opened, but not read.
    const fd = openSync(site.root, 'r')
    const to = new HandSink()
    expect(await new Pipe(new FileParts(fd, site.root, [{ start: 0, end: 10 }], 10), to.sink).closed).toMatchObject({
      code: 'XPS_READ',
    })
    await site.settled()
    expect(() => closeSync(fd)).toThrow('EBADF')
  })

  it('closes the file once, however it ends', async () => {
    const ways: ((source: FileParts, pipe: Pipe, to: HandSink) => void)[] = [
      (_source, pipe) => pipe.abort(),
      (source) => source.end(),
      (source) => source.abort(new XpsError('XPS_RESET', 'gone')),
      (_source, _pipe, to) => to.sink.close(),
    ]
    for (const end of ways) {
      for (const delay of [0, 1, 3]) {
        const to = new HandSink()
        to.busy = true
        const source = parts([{ start: 0, end: 200_000 }], 10_000)
        const pipe = new Pipe(source, to.sink)
        await turns(delay)
        end(source, pipe, to)
        end(source, pipe, to)
        to.busy = false
        to.next()
        await pipe.closed
        await site.settled()
      }
    }
  })
})
