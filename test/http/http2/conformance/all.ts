import type { ConformanceCase } from './case.ts'
import { compressionCases } from './compression.ts'
import { connectionCases } from './connection.ts'
import { frameCases } from './frames.ts'
import { messageCases } from './messages.ts'
import { streamCases } from './streams.ts'

/** The rules of RFC 9113 and RFC 7541 that a client's bytes can put to the test. */
export const conformanceCases: readonly ConformanceCase[] = [
  ...connectionCases,
  ...streamCases,
  ...frameCases,
  ...messageCases,
  ...compressionCases,
]
