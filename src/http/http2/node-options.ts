import type { ServerSessionOptions } from 'node:http2'
import type { HeadLimits } from '../http1/head-reader.ts'
import type { Http2Rules } from './options.ts'

/** Megabytes that Node may hold for one connection before it takes no new streams. */
const mostMemory = 32

/**
 * What `node:http2` is told. It answers a head that is larger than it allows by a reset; so that a client with a head which
 * is not much too large can be told by a 431, it is let have twice as much.
 */
export function nodeOptions(rules: Http2Rules, limits: HeadLimits): ServerSessionOptions {
  return {
    maxSessionInvalidFrames: rules.maxInvalidFrames,
    maxSessionMemory: mostMemory,
    // Pseudo-fields count too.
    maxHeaderListPairs: limits.fields * 2 + 5,
    settings: {
      enableConnectProtocol: true,
      maxConcurrentStreams: rules.maxStreams,
      initialWindowSize: rules.windowSize,
      // As HTTP/2 counts, with 32 bytes for each field (RFC 9113, 6.5.2).
      maxHeaderListSize: (limits.headBytes + limits.fields * 32) * 2,
    },
  }
}
