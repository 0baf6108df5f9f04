// Writes the public surface of the built types to docs/api, for review; `--check` only compares. Build first.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Extractor, ExtractorConfig, ExtractorLogLevel } from '@microsoft/api-extractor'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const check = process.argv.includes('--check')
const reports = {
  'dist/index.d.ts': 'docs/api/xps.api.md',
  'dist/http.d.ts': 'docs/api/xps-http.api.md',
  'dist/http-proxy.d.ts': 'docs/api/xps-http-proxy.api.md',
  'dist/state.d.ts': 'docs/api/xps-state.api.md',
  'dist/http-sessions.d.ts': 'docs/api/xps-http-sessions.api.md',
  'dist/soap.d.ts': 'docs/api/xps-soap.api.md',
  'dist/testing.d.ts': 'docs/api/xps-testing.api.md',
}

function reportOf(entry) {
  const folder = mkdtempSync(join(tmpdir(), 'xps-api-'))
  try {
    const config = ExtractorConfig.prepare({
      configObjectFullPath: undefined,
      packageJsonFullPath: join(root, 'package.json'),
      configObject: {
        projectFolder: root,
        mainEntryPointFilePath: join(root, entry),
        newlineKind: 'lf',
        compiler: {
          overrideTsconfig: {
            compilerOptions: {
              target: 'ES2022',
              lib: ['ES2023', 'ESNext.Disposable'],
              module: 'NodeNext',
              moduleResolution: 'NodeNext',
              types: ['node'],
              strict: true,
              skipLibCheck: true,
            },
            files: [join(root, entry)],
          },
        },
        apiReport: {
          enabled: true,
          reportFileName: 'report.api.md',
          reportFolder: folder,
          reportTempFolder: join(folder, 'temp'),
        },
        docModel: { enabled: false },
        dtsRollup: { enabled: false },
        tsdocMetadata: { enabled: false },
        messages: {
          compilerMessageReporting: { default: { logLevel: ExtractorLogLevel.Error } },
          extractorMessageReporting: {
            default: { logLevel: ExtractorLogLevel.Warning, addToApiReportFile: true },
            // Everything exported is public.
            'ae-missing-release-tag': { logLevel: ExtractorLogLevel.None },
            // The report is the surface; documentation is checked by reading.
            'ae-undocumented': { logLevel: ExtractorLogLevel.None },
            'ae-unresolved-link': { logLevel: ExtractorLogLevel.None },
          },
          tsdocMessageReporting: { default: { logLevel: ExtractorLogLevel.None } },
        },
      },
    })
    const result = Extractor.invoke(config, {
      localBuild: true,
      messageCallback(message) {
        const told = message.logLevel === ExtractorLogLevel.Error || message.logLevel === ExtractorLogLevel.Warning
        if (told && message.messageId !== 'console-api-report-created') console.error(`${entry}: ${message.text}`)
        message.handled = true
      },
    })
    if (result.errorCount > 0) throw new Error(`${entry}: the types have errors, see above`)
    return readFileSync(join(folder, 'report.api.md'), 'utf8')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

const missing = Object.keys(reports).filter((entry) => !existsSync(join(root, entry)))
if (missing.length > 0) {
  console.error(`api: ${missing.join(' and ')} not found; run \`npm run build\` first`)
  process.exit(1)
}
const exported = new Set()
for (const [entry, file] of Object.entries(reports)) {
  const path = join(root, file)
  const found = existsSync(path) ? readFileSync(path, 'utf8') : undefined
  // What `xps/testing` uses and `xps` exports is not forgotten.
  const report = reportOf(entry).replace(
    /^ *\/\/ Warning: \(ae-forgotten-export\) The symbol "(\w+)" .*\n(?: *\/\/\n)?/gm,
    (warning, symbol) => (exported.has(symbol) ? '' : warning),
  )
  for (const [, symbol] of report.matchAll(/^export (?:abstract )?(?:class|interface|type|function|const) (\w+)/gm)) {
    exported.add(symbol)
  }
  if (found === report) {
    console.log(`api: ${file} is up to date`)
  } else if (check) {
    const how = found === undefined ? 'is missing' : 'differs from the built types'
    console.error(`api: ${file} ${how}; run \`npm run build && npm run api\`, and review the change`)
    process.exitCode = 1
  } else {
    mkdirSync(dirname(path), { recursive: true })
    writeFileSync(path, report)
    console.log(`api: ${file} written`)
  }
}
