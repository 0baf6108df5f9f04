// Starts the programs under measurement, ends them, and reads what they used from the operating system.
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const running = new Set()
const folders = new Set()

/** The surroundings of a program: servers are often where only an administrator's PATH leads. */
export const environment = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin:/usr/local/sbin` }

// Whatever ends the benchmark, nothing of it is left behind.
process.once('exit', () => {
  for (const child of running) child.kill('SIGTERM')
  for (const folder of folders) rmSync(folder, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))

/** Throws if this system does not account for processes the way that the figures need. */
export function checkSystem() {
  if (!existsSync(`/proc/${process.pid}/schedstat`) || cpuTime(process.pid) === 0) {
    throw new Error('the benchmarks need Linux: they read CPU time and memory from /proc/PID/schedstat and status')
  }
}

/** A port that was free a moment ago. */
export function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}

/** A folder for the configuration of a program; it goes when the benchmark does. */
export function temporaryFolder() {
  const folder = mkdtempSync(join(tmpdir(), 'xps-bench-'))
  folders.add(folder)
  return folder
}

/** Starts a program and resolves when something listens on the port; what it complains of is told if it does not. */
export async function startServer(command, args, port) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'pipe'], env: environment })
  running.add(child)
  let complaint = ''
  let gone = false
  child.stderr.on('data', (text) => {
    complaint = `${complaint}${text}`.slice(-2_000)
  })
  child.once('error', (error) => {
    complaint += error.message
    gone = true
  })
  child.once('exit', () => {
    gone = true
    running.delete(child)
  })
  const deadline = Date.now() + 10_000
  while (!(await listens(port))) {
    if (gone || Date.now() > deadline) throw new Error(`${command} does not listen: ${complaint}`)
    await pause(20)
  }
  return child
}

export async function stop(child) {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 3_000)
  await exited
  clearTimeout(timer)
}

export function pause(milliseconds) {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** CPU time that a process and its children have used, all threads, user and system, in microseconds. */
export function cpuTime(pid) {
  let nanoseconds = 0
  for (const one of [pid, ...children(pid)]) {
    for (const task of list(`/proc/${one}/task`)) {
      // The scheduler's own account: nanoseconds on a processor. (`stat` only counts ticks of 10 ms.)
      const text = read(`/proc/${one}/task/${task}/schedstat`)
      nanoseconds += Number(text.split(' ')[0] || 0)
    }
  }
  return nanoseconds / 1_000
}

/** How long the main thread of a process was ready to run and had to wait for a processor, in microseconds. */
export function waitedForProcessor(pid) {
  return Number(read(`/proc/${pid}/schedstat`).split(' ')[1] || 0) / 1_000
}

/** Resident memory of a process, in bytes. */
export function residentMemory(pid) {
  return statusBytes(pid, 'VmRSS')
}

/** The most resident memory that a process has had, in bytes, as the kernel has kept it. */
export function peakMemory(pid) {
  return statusBytes(pid, 'VmHWM')
}

function statusBytes(pid, name) {
  const line = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(read(`/proc/${pid}/status`))
  if (line === null) throw new Error(`process ${pid} is gone`)
  return Number(line[1]) * 1024
}

function listens(port) {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

function children(pid) {
  return list(`/proc/${pid}/task`)
    .flatMap((task) => read(`/proc/${pid}/task/${task}/children`).trim().split(' '))
    .filter((text) => text !== '')
    .map(Number)
}

function list(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

function read(file) {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return ''
  }
}
