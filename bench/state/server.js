// Ours, with all sessions in memory. node bench/state/server.js PORT
import { Core } from 'xps'
import { MemoryStore, stateServer } from 'xps/state'

const protocol = stateServer({ store: new MemoryStore(), maxWaiters: 2_000, lockTimeout: 60_000 })
const core = new Core({ maxConnections: 20_000, maxConnectionsPerIp: 20_000 })
await core.listen({ port: Number(process.argv[2]), host: '127.0.0.1', backlog: 4096, protocol })
