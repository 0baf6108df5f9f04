#!/usr/bin/env node
import { command } from './command.ts'

// Whoever reads what we print may stop to, which is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

void command(process.argv.slice(2)).then((code) => process.exit(code))
