import { Duplex } from 'node:stream'
import { invalidOption } from '../options.ts'
import { type BodyLike, sourceHandlersOf } from './from.ts'
import { hostFault } from './host-fault.ts'
import type { WritableLike } from './into.ts'
import { PipeSink } from './sink.ts'
import { PipeSource } from './source.ts'

/** The two ends of a stage: bytes go into its sink and come out of its source. */
export interface StageEnds {
  sink: PipeSink
  source: PipeSource
}

/** Changes one chunk: returns what to pass on, which may be the chunk itself, or undefined for nothing. */
export type ChunkFunction = (chunk: Uint8Array) => Uint8Array | undefined

/**
 * What may stand in a pipe: a function over chunks, a Node or web transform stream (for one pipe only), or an object
 * that opens a new pair of ends for each pipe.
 */
export type Stage =
  | ChunkFunction
  | Duplex
  | { readonly readable: ReadableStream; readonly writable: WritableStream }
  | { open(): StageEnds }

/** Opens a stage for one pipe. */
export function openStage(stage: Stage): StageEnds {
  if (typeof stage === 'function') return functionStage(stage)
  if (typeof stage !== 'object' || stage === null) throw invalidOption('pipe.through', stage, stageShape)
  if ('open' in stage) return stage.open()
  if (stage instanceof Duplex) return streamStage(stage, stage)
  if ('readable' in stage && 'writable' in stage) return streamStage(stage.writable, stage.readable)
  throw invalidOption('pipe.through', stage, stageShape)
}

const stageShape = 'made of functions, transform streams or stages'

function streamStage(writable: WritableLike, readable: BodyLike): StageEnds {
  const sink = PipeSink.from(writable)
  const handlers = sourceHandlersOf(readable)
  const source = new PipeSource({
    ...handlers,
    close(error, end) {
      // Before the stream is destroyed, which would tell of it in its own words.
      sink.close(error)
      handlers.close?.(error, end)
    },
  })
  return { sink, source }
}

function functionStage(change: ChunkFunction): StageEnds {
  // What the pipe behind did not take. It stays valid, because the sink is not ready until it has been taken.
  let rest: Uint8Array | undefined
  const source: PipeSource = new PipeSource({
    pull() {
      if (rest !== undefined) {
        const taken = source.write(rest)
        rest = taken < rest.length ? rest.subarray(taken) : undefined
      }
      if (rest === undefined && source.flushed) sink.ready = true
    },
    close: (error) => sink.close(error),
  })
  const sink: PipeSink = new PipeSink({
    write(chunk) {
      let changed: Uint8Array | undefined
      try {
        changed = change(chunk)
      } catch (error) {
        source.abort(hostFault(error))
        return false
      }
      if (changed === undefined || changed.length === 0) return true
      const taken = source.write(changed)
      if (taken < changed.length) rest = changed.subarray(taken)
      return rest === undefined && source.flushed
    },
    end: (error) => source.end(error),
    abort: (error) => source.abort(error),
  })
  sink.ready = false
  return { sink, source }
}
