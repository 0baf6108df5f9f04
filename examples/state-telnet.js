// @ts-check
// A session server to talk to by hand, with a command of its own (`add KEY`), and a client that takes the same walk.
//
// Run:     node examples/state-telnet.js 9090
// Try it:  telnet 127.0.0.1 9090
import { Core } from 'xps'
import { MemoryStore, StateClient, stateServer } from 'xps/state'

const port = Number(process.argv[2] ?? process.env.PORT ?? 9090)

const protocol = stateServer({
  store: new MemoryStore(),
  commands: {
    add([key = 'n'], session) {
      if (session === undefined) return 'nothing, as no session is open'
      session.put(key, String(Number(session.get(key) ?? 0) + 1))
      return session.get(key)
    },
  },
})

const core = new Core()
core.on('fault', (error) => console.error(error.message))
const { address } = await core.listen(port, { protocol })
console.log(`shared sessions on ${address}; try: telnet ${address.replace(':', ' ')}

new
put foo bar
put today 2004-11-09
keys
get today
add visits
close
get foo
`)

const state = new StateClient(address)
const id = await state.newSession(async (session) => {
  await session.put('foo', 'bar')
  await session.command('add', 'visits')
  return session.id
})
console.log(`a client has made ${id}: open it, and add to its visits`)

async function stop() {
  await state.close()
  await core.close({ deadline: 1_000 })
}
process.once('SIGINT', stop).once('SIGTERM', stop)
