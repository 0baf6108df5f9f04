// @ts-check
// HTTPS and HTTP/2 for a local application that speaks plain HTTP/1.1. New certificate files are used when they change.
//
// Run:     node examples/https-front.js 8443 127.0.0.1:3000 cert.pem key.pem
// Make:    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
//            -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
// Try it:  curl -i --cacert cert.pem https://localhost:8443/
import { Core } from 'xps'
import { http } from 'xps/http'

const port = Number(process.argv[2] ?? process.env.PORT ?? 8443)
const upstream = process.argv[3] ?? '127.0.0.1:3000'
const [cert = 'cert.pem', key = 'key.pem'] = process.argv.slice(4)

const protocol = http({
  routes: [{ upstream }],
  hooks: {
    responseSend({ response }) {
      response?.headers.set('strict-transport-security', 'max-age=31536000')
    },
  },
})

const core = new Core()
core.on('fault', (error) => console.error(error.message))
const { address } = await core.listen({ host: '127.0.0.1', port, protocol, tls: { cert, key } })
console.log(`forwarding https://${address} to ${upstream}`)

const stop = () => core.close({ deadline: 5_000 })
process.once('SIGINT', stop).once('SIGTERM', stop)
