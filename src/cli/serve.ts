import { stat } from 'node:fs/promises'
import { Core, FileSource, type Listener, XpsError } from '../index.ts'
import { developmentCertificate } from './development-certificate.ts'
import { drain } from './drain.ts'
import { parseServeOptions, type Wanted } from './serve-options.ts'
import { nextSignal } from './signals.ts'

/** `xps serve`: listens until a signal comes; resolves to the exit code. Rejects, with nothing left, if it cannot start. */
export async function serve(args: string[]): Promise<number> {
  const { wanted, certificate, proxyProtocol, deadline } = parseServeOptions(args)
  for (const { route, folder } of wanted) {
    if (route !== undefined && 'file' in route) await checkFile(route.file, route.root ?? '.')
    if (folder !== undefined) await checkFolder(folder)
  }
  const tls = wanted.some(({ secure }) => secure) ? (certificate ?? (await makeCertificate())) : undefined
  const core = new Core()
  core.on('fault', (error) => console.error(`xps: ${error.message}`))
  const stopping = nextSignal()
  try {
    for (const one of wanted) {
      const { route, protocol } = one
      const options = {
        ...(route === undefined ? {} : { route }),
        ...(protocol === undefined ? {} : { protocol }),
        ...(proxyProtocol === undefined ? {} : { proxyProtocol }),
        ...(one.secure && tls !== undefined ? { tls } : {}),
      }
      console.log(ready(await core.listen({ ...one.where, ...options }), one))
    }
  } catch (error) {
    core.abort()
    await core.closed
    throw error
  }
  await stopping
  return drain(core, deadline, nextSignal())
}

async function makeCertificate(): Promise<{ cert: string; key: string }> {
  const made = await developmentCertificate()
  console.error(`xps: a self-signed certificate for development, which nobody trusts: ${made.cert}`)
  return made
}

/** A file that cannot be had is better known now than by the first client. */
async function checkFile(path: string, root: string): Promise<void> {
  const file = new FileSource(path, { root })
  await file.open()
  file.end()
  await file.closed
}

async function checkFolder(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isDirectory() === true) return
  const hint = /^[^/]+:\d+$/.test(path) ? ` (or is it http://${path}?)` : ''
  throw new XpsError('XPS_NOT_FOUND', `${path} is no folder${hint}`)
}

function ready(listener: Listener, { text }: Wanted): string {
  // A port that the system chose is only known now.
  return `listening on ${text.replace(/^\S+/, listener.address)}`
}
