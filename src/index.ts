// The classes that a program composes.

export { Deadlines } from './admission/deadlines.ts'
// How many are taken, how long things may take, and what was counted.
export type { LimitOptions } from './admission/limits.ts'
export type { RuleOptions } from './admission/rules.ts'
export type { Histogram, RefusalReason, SessionTimeout, Stats } from './admission/stats.ts'
export { defaultTimeouts, type TimeoutOptions, type Timeouts } from './admission/timeouts.ts'
export { type Alarm, type Clock, systemClock } from './clock.ts'
export { type Address, formatAddress, parseAddress } from './core/address.ts'
export { ClientSession, type ClientSessionEvents, type ListenPlace, type Protocol } from './core/client-session.ts'
export type { CloseOptions } from './core/close-by.ts'
export { Connection, type ConnectionEvents, type ConnectionOwner } from './core/connection.ts'
export type { ConnectionOptions, Entrance } from './core/connection-options.ts'
export {
  Core,
  type CoreEvents,
  type CoreOptions,
  type CorePatch,
  type ListenOptions,
  type ListenWhere,
} from './core/core.ts'
export type { ListenAddress } from './core/listen-address.ts'
export { Listener, type ListenerEvents } from './core/listener.ts'
export type { ListenerOptions } from './core/listener-options.ts'
export { Living } from './core/living.ts'
export type { ProxyProtocolOptions } from './core/proxy-protocol/accept-proxy.ts'
export type { ProxyHeader, ProxySource } from './core/proxy-protocol/proxy-header.ts'
export type { ProxyTls, ProxyTlv } from './core/proxy-protocol/tlv.ts'
export type { ProxyHeaderOptions } from './core/proxy-protocol/write-proxy-header.ts'
// Where bytes go.
export {
  type FileRoute,
  portRouter,
  type RefuseRoute,
  type Route,
  type Router,
  type RouteStages,
  type UpstreamRoute,
} from './core/router.ts'
export { relay, Session, type SessionEvents, type SessionOptions } from './core/session.ts'
export type { CertificateOptions, ListenerTlsOptions } from './core/tls/listener-tls.ts'
export type { Pem } from './core/tls/pem.ts'
export type { TlsState } from './core/tls/tls-state.ts'
export type { UpstreamTlsOptions } from './core/tls/upstream-tls.ts'
export { type ConnectDefaults, Upstream, type UpstreamOptions, type UpstreamTarget } from './core/upstream.ts'
export type { Zombie, ZombieReason } from './core/watch.ts'
export {
  type ErrorCode,
  type ErrorOrigin,
  errorCodes,
  isXpsError,
  type TimeoutReason,
  XpsError,
  type XpsErrorOptions,
} from './errors.ts'
// What all that lives has in common, and what goes wrong.
export { Lifetime, type Phase } from './lifetime/lifetime.ts'
export type { Owned } from './lifetime/owned.ts'
export type { SinkEnd, SinkHandlers, SourceEnd, SourceHandlers } from './pipe/ends.ts'
export { FileSource, type FileSourceOptions } from './pipe/file-source.ts'
export type { BodyLike } from './pipe/from.ts'
export type { WritableLike } from './pipe/into.ts'
// Pipes, what may stand at their ends and what in them.
export { defaultPipeLimit, Pipe, type PipeAccount, type PipeOptions } from './pipe/pipe.ts'
export { PipeSink } from './pipe/sink.ts'
export { PipeSource } from './pipe/source.ts'
export { type ChunkFunction, openStage, type Stage, type StageEnds } from './pipe/stage.ts'
export { toReadable, toReadableStream, toWritable, toWritableStream } from './pipe/streams.ts'
export { type ThrottleOptions, throttle } from './pipe/throttle.ts'
