// Ours: a server and its client in one process, over one connection.
import { Core } from 'xps'
import { SoapClient, soapServer, xml } from 'xps/soap'
import { action, check, namespace, order, serveParent } from './order.js'

const server = soapServer({ login: () => true, processors: { [action]: ({ body }) => body } })
const core = new Core()
const { port } = await core.listen({ port: 0, host: '127.0.0.1', protocol: server })
const client = await new SoapClient(`soap.tcp://127.0.0.1:${port}`, { username: 'a', password: 'b' }).login()

serveParent(async () => {
  // Made anew each time, as a program would.
  const { body } = await client.request(action, xml(namespace, 'Order', order))
  check({ id: body.integer('id'), customer: body.string('customer'), lines: body.all('lines').length })
})
