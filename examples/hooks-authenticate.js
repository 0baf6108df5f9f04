// @ts-check
// Hooks that authenticate: whoever has no good token is answered 401, and the upstream is told who the others are.
//
// Run:     node examples/hooks-authenticate.js 8082
// Try it:  curl -i http://127.0.0.1:8082/
//          curl -i -H 'Authorization: Bearer sesame' http://127.0.0.1:8082/
import { setTimeout } from 'node:timers/promises'
import { Core } from 'xps'
import { http, Slot } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8082)

/** Stands for a question to a database. @param {string | undefined} given */
const userOf = (given) => setTimeout(5, given === 'Bearer sesame' ? 'ali' : undefined)

/** The user of a transaction, for hooks that come later. @type {Slot<string>} */
const user = new Slot('user')

const protocol = http({
  routes: [
    { path: '/health', reply: 200 },
    // The upstream, in this process. No client can send `x-user` itself, also not as `x_user`: see the hook and `protect`.
    { name: 'private', node: (req, res) => res.end(`Hello ${req.headers['x-user']}\n`), protect: ['x-user'] },
  ],
  hooks: {
    // While a hook waits, so does its transaction.
    async afterRouting(transaction) {
      const { route, request } = transaction
      if (route?.name !== 'private') return
      const found = await userOf(request.headers.get('authorization'))
      if (found === undefined) {
        return transaction.reply({ status: 401, headers: { 'www-authenticate': 'Bearer' }, body: 'Who are you?\n' })
      }
      transaction.set(user, found)
      request.headers.set('x-user', found)
    },
    transactionClose: (transaction) => console.log(transaction.status, transaction.get(user) ?? 'nobody'),
  },
})

const core = new Core()
const { address } = await core.listen({ host: '127.0.0.1', port, protocol })
console.log(`guarding http://${address}`)

const stop = () => core.close()
process.once('SIGINT', stop).once('SIGTERM', stop)
