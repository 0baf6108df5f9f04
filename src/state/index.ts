// `xps/state`: shared sessions with locks: a server, its client, its stores, and stores for web frameworks.
export type { StateClientOptions } from './client/client-options.ts'
export { RemoteSession } from './client/remote-session.ts'
export {
  StateClient,
  type StateClientEvents,
  type StateClientStats,
  type StateEvent,
} from './client/state-client.ts'
export { type ByteString, toBytes, toText } from './codec/byte-string.ts'
export {
  type PhpArray,
  type PhpLimits,
  PhpValue,
  readPhpArray,
  type StateData,
  type StateValue,
  writePhpArray,
} from './codec/php-serialize.ts'
export {
  type Awaitable,
  applyChanges,
  type Changes,
  type Commit,
  type CommitResult,
  type Container,
  type ContainerLock,
  type Lifetimes,
  type Stored,
  type Summary,
} from './container.ts'
export {
  ExpressStore,
  type ExpressStoreOptions,
  type SessionSource,
  type StoreCallback,
  type StoreRequest,
} from './faces/express-store.ts'
export type { HeldSession } from './faces/holding.ts'
export type { GuessOptions } from './guesses.ts'
export type { StateLimitOptions } from './limits.ts'
export type { LockNumbers } from './locks.ts'
export { type StateServer, type StateServerOptions, stateServer } from './server.ts'
export type { StateCommand, StateServerStats } from './server-scope.ts'
export { StateSession } from './session.ts'
export type { OpenMode } from './session-keeper.ts'
export { SharedSession } from './shared-session.ts'
export {
  type OpenOptions,
  type PatchOptions,
  SharedSessions,
  type SharedSessionsEvents,
  type SharedSessionsOptions,
  type SharedSessionsStats,
  type Snapshot,
} from './shared-sessions.ts'
export { type EncryptedOptions, encrypted } from './stores/encrypted.ts'
export { FileStore, type FileStoreOptions } from './stores/file-store.ts'
export { LmdbStore, type LmdbStoreOptions } from './stores/lmdb-store.ts'
export { MemoryStore, type MemoryStoreOptions } from './stores/memory-store.ts'
export type {
  IoredisClient,
  NodeRedisClient,
  NodeRedisCluster,
  RedisClient,
  RedisWords,
} from './stores/redis/redis-client.ts'
export { RedisStore, type RedisStoreOptions } from './stores/redis-store.ts'
export type { EncryptionKey } from './stores/session-cipher.ts'
export type { SqlClient, SqlPool, SqlQuery, SqlResult } from './stores/sql/sql-pool.ts'
export { SqlStore, type SqlStoreOptions } from './stores/sql-store.ts'
