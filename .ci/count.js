// `node .ci/count.js <report.json> <exit code of vitest>` prints "<passed> <failed>"; what is wrong goes to stderr.
// A skipped test is a failed test here, and so is a run without tests.
import { readFileSync } from 'node:fs'
import { relative } from 'node:path'

const [file, exitCode] = process.argv.slice(2)
let passed = 0
let failed = 0

function fail(what) {
  failed++
  console.error(`  ${what}`)
}

let report
try {
  report = JSON.parse(readFileSync(file, 'utf8'))
} catch {
  fail('FAILED: vitest left no report, see above')
}
if (report !== undefined) {
  for (const suite of report.testResults) {
    const name = relative(process.cwd(), suite.name)
    for (const test of suite.assertionResults) {
      if (test.status === 'passed') passed++
      else if (test.status === 'failed') fail(`FAILED: ${name} > ${test.fullName}`)
      else fail(`NOT RUN (${test.status}), which counts as failed: ${name} > ${test.fullName}`)
    }
    if (suite.assertionResults.length === 0) fail(`FAILED: no test was found in ${name}`)
    else if (suite.status === 'failed' && suite.assertionResults.every((test) => test.status !== 'failed')) {
      fail(`FAILED: ${name}, outside its tests`)
    }
  }
  if (passed + failed === 0) fail('FAILED: no tests ran')
  if (exitCode !== '0' && failed === 0) fail(`FAILED: all passed, but vitest's exit code is ${exitCode}, see above`)
}
console.log(`${passed} ${failed}`)
