import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import {
  appendFile,
  chmod,
  mkdir,
  mkdtemp,
  realpath,
  rename,
  rm,
  symlink,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { XpsError } from '../../src/errors.ts'
import { FileSource, type FileSourceOptions } from '../../src/pipe/file-source.ts'
import { Pipe, type PipeOptions } from '../../src/pipe/pipe.ts'
import { openDescriptors } from '../support/descriptors.ts'
import { HandSink, pattern, soon, turns } from './hand-ends.ts'

const reset = new XpsError('XPS_RESET', 'broken')
const bytes = pattern(300_000)

//   base/
//     media/        the root          media-old/   beside it, with a name that begins alike
//       whole.bin  empty.bin            secret.bin
//       folder/inner.bin
//       in.link ─► folder/inner.bin   out.link ─► ../secret.bin   dir.link ─► ../media-old
//     secret.bin
let base: string
let root: string

beforeAll(async () => {
  base = await realpath(await mkdtemp(join(tmpdir(), 'xps-files-')))
  root = join(base, 'media')
  await mkdir(join(root, 'folder'), { recursive: true })
  await mkdir(join(base, 'media-old'))
  await writeFile(join(root, 'whole.bin'), bytes)
  await writeFile(join(root, 'empty.bin'), '')
  await writeFile(join(root, 'folder/inner.bin'), 'inside')
  await writeFile(join(base, 'secret.bin'), 'secret')
  await writeFile(join(base, 'media-old/secret.bin'), 'secret')
  await symlink('folder/inner.bin', join(root, 'in.link'))
  await symlink('../secret.bin', join(root, 'out.link'))
  await symlink('../media-old', join(root, 'dir.link'))
  await symlink(root, join(base, 'root.link'))
  await symlink('loop.link', join(root, 'loop.link'))
})
afterAll(() => rm(base, { recursive: true }))

// What was open before a test is not its fault.
let before = 0

/** How many files of this test are open. */
function open(): number {
  return openDescriptors().filter((name) => name.startsWith(base)).length - before
}
beforeEach(() => {
  before = 0
  before = open()
})
// A descriptor may be closed a little after the pipe, but not much.
afterEach(async () => {
  const patience = performance.now() + 15_000
  while (open() > 0 && performance.now() < patience) await turns(10)
  expect(open()).toBe(0)
})

/** Waits for the descriptor to be closed, but not for ever. */
async function released(source: FileSource): Promise<void> {
  const patience = performance.now() + 15_000
  let outcome: unknown
  while (outcome === undefined && performance.now() < patience) outcome = await soon(source.closed)
  if (outcome === undefined) throw new Error('the file is never closed')
}

/** Sends a file through a pipe to its end. */
async function send(
  path: string,
  options: FileSourceOptions = {},
  pipeOptions: PipeOptions = {},
): Promise<{ to: HandSink; error: XpsError | undefined }> {
  const source = new FileSource(path, { root, ...options })
  const to = new HandSink()
  return { to, error: await new Pipe(source, to.sink, pipeOptions).closed }
}

describe('FileSource', () => {
  describe('and what it sends', () => {
    it('sends the whole file, and then the end', async () => {
      const { to, error } = await send('whole.bin')
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
      expect(to.ends).toEqual([undefined])
    })

    it('sends nothing but the end of an empty file', async () => {
      const { to, error } = await send('empty.bin')
      expect(error).toBeUndefined()
      expect(to.chunks).toHaveLength(0)
      expect(to.ends).toEqual([undefined])
    })

    it.each([
      1, 4_095, 4_096, 4_097, 8_191, 8_192, 8_193,
    ])('sends a file of %i bytes by reads of 4 KiB', async (size) => {
      await writeFile(join(root, 'sized.bin'), bytes.subarray(0, size))
      const { to, error } = await send('sized.bin', { chunkSize: '4 KiB' })
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes.subarray(0, size))).toBe(true)
      expect(to.chunks.every((chunk) => chunk.length <= 4_096)).toBe(true)
      expect(to.chunks).toHaveLength(Math.ceil(size / 4_096))
    })

    it.each([
      [{ start: 0, end: 10 }, 0, 10],
      [{ start: 100 }, 100, 300_000],
      [{ end: 100 }, 0, 100],
      [{ start: 65_535, end: 65_537 }, 65_535, 65_537],
      [{ start: 299_999 }, 299_999, 300_000],
      [{ start: 300_000 }, 300_000, 300_000],
      [{ start: 50, end: 50 }, 50, 50],
      [{ start: 299_990, end: 1_000_000 }, 299_990, 300_000],
      [{ start: 300_000, end: 1_000_000 }, 300_000, 300_000],
    ])('sends the range %o', async (range, from, to) => {
      const sent = await send('whole.bin', range)
      expect(sent.error).toBeUndefined()
      expect(sent.to.bytes.equals(bytes.subarray(from, to))).toBe(true)
      expect(sent.to.ends).toEqual([undefined])
    })

    it('sends any range by reads of any size through a pipe of any limit', async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.nat(300_000),
          fc.nat(20_000),
          fc.integer({ min: 500, max: 100_000 }),
          fc.integer({ min: 500, max: 100_000 }),
          async (start, length, chunkSize, limit) => {
            const { to, error } = await send('whole.bin', { start, end: start + length, chunkSize }, { limit })
            expect(error).toBeUndefined()
            expect(to.bytes.equals(bytes.subarray(start, start + length))).toBe(true)
          },
        ),
        { numRuns: 25 },
      )
    })

    it('ends with XPS_RANGE when it starts beyond the end, and says how long the file is', async () => {
      for (const path of ['whole.bin', 'empty.bin']) {
        const { to, error } = await send(path, { start: 300_001 })
        expect(error).toMatchObject({ code: 'XPS_RANGE' })
        expect(error?.message).toContain(path === 'empty.bin' ? 'has 0 bytes' : 'has 300000 bytes')
        expect(to.chunks).toHaveLength(0)
        expect(to.ends).toEqual([error])
      }
    })

    it('is read only as fast as the sink takes it, and always into the same memory', async () => {
      const source = new FileSource('whole.bin', { root, chunkSize: 10_000 })
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(source, to.sink, { limit: 10_000 })
      while (to.ends.length === 0) {
        const { length } = to.chunks
        await turns(2)
        expect(to.chunks.length).toBeLessThanOrEqual(length + 1)
        expect(pipe.buffered).toBeLessThanOrEqual(10_000)
        to.next()
      }
      await released(source)
      expect(to.bytes.equals(bytes)).toBe(true)
      const memory = new Set(to.chunks.map((chunk) => chunk.buffer))
      expect(memory.size).toBe(1)
      expect([...memory][0]?.byteLength).toBe(10_000)
    })

    it('needs no more memory than the file has bytes', async () => {
      const { to } = await send('folder/inner.bin', { chunkSize: '1 GB' })
      expect(to.chunks[0]?.buffer.byteLength).toBe(6)
    })

    it('reads nothing before a pipe asks', async () => {
      const source = new FileSource('whole.bin', { root })
      const to = new HandSink()
      to.sink.ready = false
      const pipe = new Pipe(source, to.sink)
      await turns(5)
      expect(open()).toBe(0)
      expect(source.size).toBeUndefined()
      to.next()
      await pipe.closed
      await released(source)
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('goes on in another pipe', async () => {
      const source = new FileSource('whole.bin', { root, chunkSize: 1_000 })
      const second = new HandSink()
      let moved = false
      const first: HandSink = new HandSink(() => {
        if (first.bytes.length >= 50_000 && !moved) {
          moved = true
          setImmediate(() => {
            // Between two reads: it waits for the disk, and the sink for it.
            if (pipe.detachSource() === undefined) throw new Error('not let go')
            new Pipe(source, second.sink)
          })
        }
        return undefined
      })
      const pipe: Pipe = new Pipe(source, first.sink)
      while (second.ends.length === 0) await turns(1)
      await released(source)
      expect(Buffer.concat([first.bytes, second.bytes]).equals(bytes)).toBe(true)
      expect(second.bytes.length).toBeGreaterThan(0)
    })
  })

  describe('and what happens to the file meanwhile', () => {
    /** Stops after the first chunk, does something to the file and lets it go on. */
    async function meanwhile(change: (path: string) => Promise<void>): Promise<{ to: HandSink; error?: XpsError }> {
      const path = join(root, 'changing.bin')
      await writeFile(path, bytes)
      const source = new FileSource('changing.bin', { root, chunkSize: 10_000 })
      const to = new HandSink()
      to.busy = true
      const pipe = new Pipe(source, to.sink)
      while (to.chunks.length === 0) await turns(1)
      await change(path)
      to.busy = false
      to.next()
      const error = await pipe.closed
      await released(source)
      await rm(path, { force: true })
      return error === undefined ? { to } : { to, error }
    }

    it('is still sent whole when it is deleted', async () => {
      const { to, error } = await meanwhile(unlink)
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('is still the old one when it is replaced', async () => {
      const { to, error } = await meanwhile(async (path) => {
        await writeFile(`${path}.new`, 'the new one')
        await rename(`${path}.new`, path)
      })
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('is as long as it was when it was opened, though bytes are appended', async () => {
      const { to, error } = await meanwhile((path) => appendFile(path, 'more'))
      expect(error).toBeUndefined()
      expect(to.bytes.equals(bytes)).toBe(true)
    })

    it('ends with XPS_TRUNCATED when it becomes shorter, and says how much is missing', async () => {
      const { to, error } = await meanwhile((path) => truncate(path, 55_000))
      expect(error).toMatchObject({ code: 'XPS_TRUNCATED' })
      expect(error?.message).toContain('245000 of 300000 bytes are missing')
      expect(to.bytes.equals(bytes.subarray(0, 55_000))).toBe(true)
      expect(to.ends).toEqual([error])
    })

    it('ends with XPS_TRUNCATED when it becomes empty', async () => {
      const { to, error } = await meanwhile((path) => truncate(path, 0))
      expect(error).toMatchObject({ code: 'XPS_TRUNCATED' })
      expect(to.bytes.equals(bytes.subarray(0, 10_000))).toBe(true)
    })
  })

  describe('and its root', () => {
    it.each([
      ['a file', 'folder/inner.bin'],
      ['a file by a path with detours', 'folder/../folder/./inner.bin'],
      ['a file by a path that leaves the root and comes back', '../media/folder/inner.bin'],
      ['a link that stays inside', 'in.link'],
    ])('lets %s be sent', async (_name, path) => {
      const { to, error } = await send(path)
      expect(error).toBeUndefined()
      expect(to.text).toBe('inside')
    })

    it('lets a file inside be sent by its absolute path', async () => {
      expect((await send(join(root, 'folder/inner.bin'))).to.text).toBe('inside')
    })

    it('may be a link itself, or everything', async () => {
      expect((await send('in.link', { root: join(base, 'root.link') })).to.text).toBe('inside')
      expect((await send(join(root, 'in.link'), { root: '/' })).to.text).toBe('inside')
      expect((await send('in.link', { root: `${root}/` })).to.text).toBe('inside')
    })

    it('is the current folder unless it is given', async () => {
      expect(new FileSource('package.json').root).toBe('.')
      const source = new FileSource('package.json')
      const to = new HandSink()
      expect(await new Pipe(source, to.sink).closed).toBeUndefined()
      expect(to.text).toContain('"name": "xps"')
      await released(source)
      const outside = new FileSource(join(base, 'secret.bin'))
      expect(await new Pipe(outside, new HandSink().sink).closed).toMatchObject({ code: 'XPS_FORBIDDEN' })
    })

    it.each([
      ['a file above', '../secret.bin'],
      ['a file far above', `${'../'.repeat(30)}etc/passwd`],
      ['an absolute path outside', '/etc/passwd'],
      ['a folder beside it that begins alike', '../media-old/secret.bin'],
      ['a link that leads out', 'out.link'],
      ['a file behind a folder that leads out', 'dir.link/secret.bin'],
      ['itself', '.'],
      ['itself, by its name', '../media'],
      ['a folder', 'folder'],
      ['a link in a circle', 'loop.link'],
    ])('refuses %s', async (_name, path) => {
      const { to, error } = await send(path)
      expect(error).toMatchObject({ code: 'XPS_FORBIDDEN', origin: 'internal' })
      expect(to.chunks).toHaveLength(0)
      expect(to.ends).toEqual([error])
    })

    it('refuses an absolute path beside it that begins alike', async () => {
      const { to, error } = await send(join(base, 'media-old/secret.bin'))
      expect(error).toMatchObject({ code: 'XPS_FORBIDDEN' })
      expect(to.text).toBe('')
    })

    it('refuses a named pipe that nobody writes to, and does not wait for one who does', async () => {
      execFileSync('mkfifo', [join(root, 'fifo')])
      expect((await send('fifo')).error).toMatchObject({ code: 'XPS_FORBIDDEN' })
    })

    it('refuses a socket', async () => {
      const path = join(root, 'socket')
      const server = createServer()
      server.listen(path)
      await once(server, 'listening')
      expect((await send('socket')).error).toMatchObject({ code: 'XPS_FORBIDDEN' })
      server.close()
      await once(server, 'close')
    })

    it('refuses a device', async () => {
      expect((await send('null', { root: '/dev' })).error).toMatchObject({ code: 'XPS_FORBIDDEN' })
    })

    it('refuses a file that may not be read, unless the process may read all', async () => {
      const path = join(root, 'locked.bin')
      await writeFile(path, 'locked')
      await chmod(path, 0)
      const { to, error } = await send('locked.bin')
      const readsAll = process.getuid?.() === 0
      expect(error?.code).toBe(readsAll ? undefined : 'XPS_FORBIDDEN')
      expect(to.text).toBe(readsAll ? 'locked' : '')
    })

    it.each([
      ['a file that is not there', 'absent.bin'],
      ['a file in a folder that is not there', 'absent/inner.bin'],
      ['a file below a file', 'whole.bin/inner.bin'],
      ['a name with a NUL in it', 'whole.bin\0.txt'],
      ['a name with a NUL that would lead out', '../secret.bin\0'],
    ])('does not find %s', async (_name, path) => {
      const { to, error } = await send(path)
      expect(error).toMatchObject({ code: 'XPS_NOT_FOUND' })
      expect(error?.cause).toBeInstanceOf(Error)
      expect(to.ends).toEqual([error])
    })

    it('must be there', async () => {
      expect((await send('whole.bin', { root: join(base, 'absent') })).error).toMatchObject({ code: 'XPS_NOT_FOUND' })
    })

    it('says which name is too long for a file', async () => {
      const { error } = await send('x'.repeat(10_000))
      expect(error).toMatchObject({ code: 'XPS_READ', cause: { code: 'ENAMETOOLONG' } })
    })

    it('holds while a folder is swapped for a link that leads out', async () => {
      const folder = join(root, 'swapped')
      const aside = join(root, 'aside')
      await mkdir(folder)
      await writeFile(join(folder, 'secret.bin'), 'inside')
      let over = false
      const swapping = (async () => {
        while (!over) {
          await rename(folder, aside)
          await symlink(join(base, 'media-old'), folder)
          await unlink(folder)
          await rename(aside, folder)
        }
      })()
      const seen = new Set<string>()
      try {
        // Until both have met, or for ten seconds: how the swapping and the opening interleave is up to the threads.
        const deadline = Date.now() + 10_000
        for (let round = 0; round < 60 || (seen.size < 2 && Date.now() < deadline); round++) {
          const sent = await Promise.all(Array.from({ length: 5 }, () => send('swapped/secret.bin')))
          for (const { to, error } of sent) seen.add(error?.code ?? to.text)
        }
      } finally {
        over = true
        await swapping
      }
      for (const outcome of seen) expect(['inside', 'XPS_NOT_FOUND', 'XPS_FORBIDDEN']).toContain(outcome)
      // Otherwise nothing was swapped at the wrong moment, and this shows nothing.
      expect(seen.size).toBeGreaterThan(1)
      expect((await send('swapped/secret.bin')).to.text).toBe('inside')
    })
  })

  describe('and its opening', () => {
    it('tells the size, the date and the real path, before any pipe', async () => {
      const source = new FileSource('in.link', { root })
      const { size, modified, path } = await source.open()
      expect(size).toBe(6)
      expect(source.size).toBe(6)
      expect(path).toBe(join(root, 'folder/inner.bin'))
      expect(Math.abs(Date.now() - modified.getTime())).toBeLessThan(60_000)
      const to = new HandSink()
      expect(await new Pipe(source, to.sink).closed).toBeUndefined()
      await released(source)
      expect(to.text).toBe('inside')
    })

    it('happens once, however often it is asked for', async () => {
      const source = new FileSource('in.link', { root })
      const to = new HandSink()
      const pipe = new Pipe(source, to.sink)
      const [one, other] = await Promise.all([source.open(), source.open()])
      expect(open()).toBeLessThanOrEqual(1)
      expect(one).toEqual(other)
      await pipe.closed
      await released(source)
      expect(to.text).toBe('inside')
    })

    it('keeps the size when it is over', async () => {
      const source = new FileSource('whole.bin', { root, end: 10 })
      await new Pipe(source, new HandSink().sink).closed
      await released(source)
      expect(source.size).toBe(300_000)
    })

    it('rejects with the error that the pipe ends with', async () => {
      for (const [path, options, code] of [
        ['absent.bin', {}, 'XPS_NOT_FOUND'],
        ['../secret.bin', {}, 'XPS_FORBIDDEN'],
        ['whole.bin', { start: 300_001 }, 'XPS_RANGE'],
      ] as const) {
        const source = new FileSource(path, { root, ...options })
        const error = await source.open().catch((reason: unknown) => reason)
        expect(error).toMatchObject({ code })
        const to = new HandSink()
        expect(await new Pipe(source, to.sink).closed).toMatchObject({ code })
        expect(to.chunks).toHaveLength(0)
      }
    })

    it('leaves nothing to close to whoever only asked, and was refused', async () => {
      for (const [path, start] of [
        ['absent.bin', 0],
        ['folder', 0],
        ['whole.bin', 300_001],
      ] as const) {
        const source = new FileSource(path, { root, start })
        await expect(source.open()).rejects.toThrow()
        await released(source)
        expect(open()).toBe(0)
      }
    })

    it('can be for nothing: an end or an abort closes the file', async () => {
      for (const end of ['end', 'abort'] as const) {
        const source = new FileSource('whole.bin', { root })
        await source.open()
        expect(open()).toBe(1)
        source[end]()
        await released(source)
        expect(open()).toBe(0)
      }
    })

    it('can be for nothing before it is done', async () => {
      const source = new FileSource('whole.bin', { root })
      const opening = source.open()
      source.end()
      expect((await opening).size).toBe(300_000)
      await released(source)
      expect(open()).toBe(0)
    })
  })

  describe('and its descriptor', () => {
    it('is closed when all is sent, and closed says so', async () => {
      const source = new FileSource('whole.bin', { root })
      const pipe = new Pipe(source, new HandSink().sink)
      let closed = false
      const closing = source.closed.then(() => {
        closed = true
      })
      expect(closed).toBe(false)
      await pipe.closed
      await closing
      expect(open()).toBe(0)
      expect(await soon(source.closed)).toEqual({ value: undefined })
    })

    it('is closed when the pipe is aborted, whenever that is', async () => {
      for (let after = 0; after < 12; after++) {
        for (const by of ['abort', 'sink'] as const) {
          const source = new FileSource('whole.bin', { root, chunkSize: 1_000 })
          const to = new HandSink()
          const pipe = new Pipe(source, to.sink)
          await turns(after)
          if (by === 'abort') pipe.abort(reset)
          else to.sink.close(reset)
          const { length } = to.chunks
          expect(await pipe.closed).toBe(reset)
          await released(source)
          expect(open()).toBe(0)
          expect(to.chunks).toHaveLength(length)
        }
      }
    })

    it('is closed when the source is ended early by its owner', async () => {
      const source = new FileSource('whole.bin', { root, chunkSize: 1_000 })
      const to = new HandSink()
      const pipe = new Pipe(source, to.sink)
      while (to.chunks.length < 3) await turns(1)
      source.end()
      expect(await pipe.closed).toBeUndefined()
      await released(source)
      expect(to.bytes.equals(bytes.subarray(0, to.bytes.length))).toBe(true)
      expect(to.ends).toEqual([undefined])
    })

    it('is not there at first, so closed resolves at once', async () => {
      expect(await soon(new FileSource('whole.bin', { root }).closed)).toEqual({ value: undefined })
    })

    it('is not there after an opening that failed, so closed resolves too, whenever it is asked for', async () => {
      for (const path of ['absent.bin', '../secret.bin', 'folder']) {
        const source = new FileSource(path, { root })
        const pipe = new Pipe(source, new HandSink().sink)
        const early = source.closed
        expect(await pipe.closed).toBeDefined()
        expect(await early).toBeUndefined()
        expect(await source.closed).toBeUndefined()
        const other = new FileSource(path, { root })
        await new Pipe(other, new HandSink().sink).closed
        expect(await other.closed).toBeUndefined()
      }
    })

    it('is closed for each of 50 files at once', async () => {
      const sent = await Promise.all(Array.from({ length: 50 }, () => send('whole.bin', { chunkSize: 30_000 })))
      expect(sent.every(({ to }) => to.bytes.equals(bytes))).toBe(true)
    })
  })

  describe('and its options', () => {
    it('shows its path and root', () => {
      const source = new FileSource('a/b.txt', { root: '/srv' })
      expect([source.path, source.root, basename(source.path)]).toEqual(['a/b.txt', '/srv', 'b.txt'])
    })

    it.each([
      ['', {}],
      [42, {}],
      [undefined, {}],
      ['a', { start: -1 }],
      ['a', { start: 1.5 }],
      ['a', { start: 10, end: 9 }],
      ['a', { end: -1 }],
      ['a', { end: Number.NaN }],
      ['a', { chunkSize: 0 }],
      ['a', { chunkSize: 'big' }],
      ['a', { rot: '.' }],
      ['a', { root: 42 }],
    ])('refuses %o with %o', (path, options) => {
      expect(() => new FileSource(path as string, options as FileSourceOptions)).toThrow(
        expect.objectContaining({ code: 'XPS_INVALID_OPTION' }),
      )
    })
  })
})
