import createDebug, { type Debugger } from 'debug'

/** Makes a log under `xps:*`, shown when the DEBUG environment variable names it. */
export function log(name: string): Debugger {
  return createDebug(`xps:${name}`)
}
