import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { createServer, request } from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { TestAuthority } from '../support/certificates.ts'
import { Cli, said } from '../support/cli.ts'

const authority = new TestAuthority()
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'xps-'))
  await writeFile(join(folder, 'page.html'), '<p>page</p>')
})
afterAll(async () => {
  authority[Symbol.dispose]()
  await rm(folder, { recursive: true })
})

function get(port: string, path: string, ca: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const asked = request({ port, path, ca, host: 'localhost', family: 4 }, (response) => {
      let text = ''
      response.on('data', (chunk) => {
        text += chunk
      })
      response.on('end', () => resolve(text))
    })
    asked.on('error', reject)
    asked.end()
  })
}

describe('xps serve --https', () => {
  it('serves with the certificate that it is given', async () => {
    const { files } = authority.issue('localhost')
    await using cli = new Cli(['serve', '--https', '127.0.0.1:0=.', '--cert', files.cert, '--key', files.key], folder)
    const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → \./)
    expect(await get(port as string, '/page.html', authority.ca.pem.cert)).toBe('<p>page</p>')
    cli.process.kill('SIGTERM')
    expect(await cli.exited).toBe(0)
    expect(cli.stderr).toBe('')
  })

  it('makes a certificate for development, which only its user can read, and uses it again', async () => {
    const data = join(folder, 'data')
    const home = join(data, 'xps', 'self-signed-for-development-only')
    let first: string | undefined
    for (let round = 0; round < 2; round++) {
      await using cli = new Cli(['serve', '--https', '127.0.0.1:0=.'], folder, { XDG_DATA_HOME: data })
      const [, port] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → \./)
      const cert = await readFile(`${home}.crt`, 'utf8')
      expect(await get(port as string, '/page.html', cert)).toBe('<p>page</p>')
      expect(cli.stderr).toBe(`xps: a self-signed certificate for development, which nobody trusts: ${home}.crt\n`)
      first ??= cert
      expect(cert).toBe(first)
    }
    for (const file of ['crt', 'key']) expect((await stat(`${home}.${file}`)).mode & 0o777).toBe(0o600)
    const { subject, subjectAltName, ca } = new X509Certificate(first as string)
    expect(subject).toBe('CN=xps self-signed for development only')
    expect(subjectAltName).toMatch(/DNS:localhost, .*IP Address:127\.0\.0\.1/)
    expect(ca).toBe(false)
    // One that is broken is replaced.
    await writeFile(`${home}.key`, 'nonsense')
    await using cli = new Cli(['serve', '--https', '127.0.0.1:0=.'], folder, { XDG_DATA_HOME: data })
    await cli.line(/listening on/)
    expect(await readFile(`${home}.crt`, 'utf8')).not.toBe(first)
  })

  it('forwards to a server that speaks TLS itself', async () => {
    const { files, pem } = authority.issue('localhost')
    const app = createServer(pem, (request, response) => response.end(`app ${request.url}`)).listen(0, '127.0.0.1')
    await new Promise((resolve) => app.once('listening', resolve))
    const { port } = app.address() as AddressInfo
    // Nothing but what Node trusts is trusted: the program is told of our authority as any program of Node's is.
    const env = { NODE_EXTRA_CA_CERTS: authority.ca.files.cert }
    const args = [
      'serve',
      '--https',
      `127.0.0.1:0=https://localhost:${port}/base`,
      '--cert',
      files.cert,
      '--key',
      files.key,
    ]
    await using cli = new Cli(args, folder, env)
    const [, own] = await cli.line(/listening on 127\.0\.0\.1:(\d+) → https:/)
    expect(await get(own as string, '/x', authority.ca.pem.cert)).toBe('app /base/x')
    app.close()
    app.closeAllConnections()
  })

  it.each<[string[], number, RegExp]>([
    [['--https', '0=.', '--cert', 'a.pem'], 2, /--cert and --key are given both, or none of them/],
    [['--http', '0=.', '--cert', 'a', '--key', 'b'], 2, /--cert and --key are for --https/],
    [['--https', '0=ftp://x'], 2, /--https must lead to http/],
  ])('says what is wrong with %j', async (args, code, message) => {
    const { stderr, ...rest } = await said(['serve', ...args], folder)
    expect(rest.code).toBe(code)
    expect(stderr).toMatch(message)
    expect(stderr.trim().split('\n')).toHaveLength(1)
  })

  it('says which file of a certificate is not there', async () => {
    await using cli = new Cli(['serve', '--https', '0=.', '--cert', '/nowhere', '--key', '/nowhere'], folder)
    expect(await cli.exited).toBe(1)
    expect(cli.stderr).toMatch(/^xps: .*tls.cert must be a file that can be read \(ENOENT.*\n$/)
  })
})
