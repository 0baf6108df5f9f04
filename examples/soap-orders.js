// @ts-check
// Order entry: rights are asked for each message, so that they can change while a client is logged in.
//
// Run:     node examples/soap-orders.js 8082
// Try it:  watch it: Ann may order, then her right is taken from her, then she has it again, all in one session
import { Core } from 'xps'
import { hashPassword, processor, SoapClient, SoapFault, soapServer, verifyPassword, xml } from 'xps/soap'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8082)
const orders = 'urn:example:orders'
const users = new Map([['ann', await hashPassword('sesame')]])
const rights = new Map([['ann', new Set([`${orders}/place`])]])
let placed = 0

const server = soapServer({
  // An unknown user takes as long as a wrong password.
  login: ({ username, password }) => verifyPassword(password, users.get(username)),
  entitled: (session, message) => rights.get(session.username)?.has(message.action) === true,
  processors: {
    [`${orders}/place`]: processor({
      // In place of `read` there could be a `schema` of Zod or Valibot; see docs/soap.md.
      read: (body) => ({ symbol: body?.string('symbol'), quantity: body?.integer('quantity') ?? 0 }),
      handle({ value: { symbol, quantity } }) {
        if (quantity < 1) throw new SoapFault('Sender', 'order at least one')
        return xml(orders, 'Placed', { number: ++placed, symbol, quantity })
      },
    }),
  },
})
const core = new Core()
core.own(server)
const { address } = await core.listen({ host: '127.0.0.1', port, protocol: server })
console.log(`orders at soap.tcp://${address}`)

const ann = await new SoapClient(`soap.tcp://${address}`, { username: 'ann', password: 'sesame' }).login()
/** @param {number} quantity */
const order = async (quantity) => {
  const body = xml(orders, 'Order', { symbol: 'ACME', quantity })
  const answer = await ann.request(`${orders}/place`, body).catch((/** @type {Error} */ error) => error)
  console.log(answer instanceof Error ? answer.message : `placed ${answer.body?.integer('number')}`)
}
await order(10)
await order(0)
rights.get('ann')?.delete(`${orders}/place`)
await order(10)
rights.get('ann')?.add(`${orders}/place`)
await order(10)
await ann.close()
await core.close()
