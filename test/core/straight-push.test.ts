import { PassThrough } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { straightPush } from '../../src/core/socket/straight-push.ts'

/** A stream that pushes to somebody who takes as long as `takes` says so, and else listens to `data`. */
function stream(takes: { now: boolean }): { stream: PassThrough; taken: string[]; told: string[] } {
  const stream = new PassThrough()
  const taken: string[] = []
  const told: string[] = []
  stream.push = straightPush((_, chunk) => {
    if (takes.now) taken.push(String(chunk))
    return takes.now
  })
  stream.on('data', (chunk) => told.push(String(chunk)))
  return { stream, taken, told }
}

describe('What is pushed to somebody who takes it in the same call', () => {
  it('does not come through the stream', () => {
    const { stream: it, taken, told } = stream({ now: true })
    expect(it.push(Buffer.from('1'))).toBe(true)
    expect([taken, told, it.readableLength]).toEqual([['1'], [], 0])
  })

  it('waits in the stream if it is not taken, and all that follows waits behind it', async () => {
    const takes = { now: true }
    const { stream: it, taken, told } = stream(takes)
    it.push(Buffer.from('1'))
    it.pause()
    takes.now = false
    it.push(Buffer.from('2'))
    takes.now = true
    it.push(Buffer.from('3'))
    expect([taken, told, it.readableLength]).toEqual([['1'], [], 2])
    it.resume()
    await new Promise((resolve) => setImmediate(resolve))
    it.push(Buffer.from('4'))
    expect([taken, told.join(''), it.readableLength]).toEqual([['1', '4'], '23', 0])
  })

  it('ends as any stream does', async () => {
    const { stream: it, taken } = stream({ now: true })
    it.push(Buffer.from('1'))
    const ended = new Promise((resolve) => it.once('end', resolve))
    it.push(null)
    it.read(0)
    await ended
    expect(taken).toEqual(['1'])
  })
})
