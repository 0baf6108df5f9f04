import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parsed } from '../../src/cli/arguments.ts'
import { help } from '../../src/cli/help.ts'
import { parseServeOptions } from '../../src/cli/serve-options.ts'
import { state } from '../../src/cli/state.ts'
import { Cli } from '../support/cli.ts'

const page = readFileSync(new URL('../../docs/command-line.md', import.meta.url), 'utf8')

/** The rows of a command on its page: its flags, and what is said of them. */
function rowsOf(command: string): [flags: string[], text: string][] {
  const [, section = ''] = page.split(`\n## \`xps ${command}\`\n`)
  const rows = (section.split('\n## ')[0] ?? '').split('\n').filter((line) => line.startsWith('| `--'))
  return rows.map((row) => {
    const [, first = '', text = ''] = row.split(/(?<!\\)\|/)
    return [[...first.matchAll(/--[\w-]+/g)].map(([flag]) => flag), text]
  })
}

/** What a help page says of a flag, as far as the next one. */
function saidOf(flag: string, text: string): string {
  const lines = text.split('\n')
  const found = lines.flatMap((line, index) => (new RegExp(`^  .*${flag}\\b(?!-)`).test(line) ? [index] : []))
  return found
    .map((index) => `${lines[index]} ${/^ {10}/.test(lines[index + 1] ?? '') ? lines[index + 1] : ''}`)
    .join('\n')
}

describe('The help of the command line', () => {
  for (const command of ['serve', 'state']) {
    it(`has every flag of xps ${command}, with the default that its page tells`, () => {
      const text = help(command)
      const rows = rowsOf(command)
      expect(rows.length).toBeGreaterThan(10)
      for (const [flags, told] of rows) {
        for (const flag of flags) {
          const said = saidOf(flag, text)
          expect(said, flag).not.toBe('')
          for (const [number] of told.matchAll(/\b[\d,]*\d(?= ms)/g)) {
            expect(said, flag).toContain(`(default: ${number.replaceAll(',', '')}`)
          }
        }
      }
      // The whole page has all of it.
      for (const block of text.split('\n\n').slice(2, -2)) expect(help()).toContain(block)
    })
  }

  it('is that of a command where one is named, and fits on a terminal', async () => {
    await using serve = new Cli(['serve', '--help'])
    await using state = new Cli(['state', 'ls', '-h'])
    expect([await serve.exited, await state.exited]).toEqual([0, 0])
    expect([serve.stdout, state.stdout]).toEqual([`${help('serve')}\n`, `${help('state')}\n`])
    expect(help('serve')).not.toContain('--store')
    expect(help('state')).not.toContain('--upstream')
    for (const line of help().split('\n')) expect(line.length, line).toBeLessThanOrEqual(120)
  })
})

describe('A mistake in a flag', () => {
  const told = (run: () => unknown): string => {
    try {
      run()
    } catch (error) {
      return (error as Error).message
    }
    return ''
  }

  it.each([
    ['--upstreem', '--upstream'],
    ['--acess-log', '--access-log'],
    ['--Upstream', '--upstream'],
    ['--upstraem=1', '--upstream'],
    ['--proxy', '--proxy-protocol'],
    ['--timeout', '--connect-timeout'],
    ['--certificate', '--cert'],
    ['-upstream', '--upstream'],
    ['--htttp', '--http'],
  ])('%s is told with %s, which was meant', (given, flag) => {
    const message = told(() => parseServeOptions([given, '8001=127.0.0.1:3000']))
    expect(message).toMatch(/^Unknown option '[^']+': did you mean --[\w-]+\?$/)
    expect(message).toContain(`did you mean ${flag}?`)
  })

  it('that is like none is told alone', () => {
    for (const given of ['--bogus', '-x', '--', '--z=1']) {
      const message = told(() => parsed({ args: [given], options: { upstream: { type: 'string' } } }))
      if (given !== '--') expect(message).toMatch(/^Unknown option '[^']+'$/)
    }
  })

  it('or in a command is told with the one that was meant', async () => {
    await expect(state(['sl'])).rejects.toThrow("unknown command 'state sl': did you mean ls?")
    await expect(state(['ls', '--sever', 'x'])).rejects.toThrow("Unknown option '--sever': did you mean --server?")
    await expect(state(['--secret', 'x'])).rejects.toThrow("Unknown option '--secret': did you mean --secret-file?")
    await using cli = new Cli(['sevre'])
    expect(await cli.exited).toBe(2)
    expect(cli.stderr).toBe("xps: unknown command 'sevre': did you mean serve? (xps --help says more)\n")
  })
})
