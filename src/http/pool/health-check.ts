import type { Alarm, Clock } from '../../clock.ts'
import { log } from '../../core/log.ts'
import { durationOption, integerOption, invalidOption, knownOptions } from '../../options.ts'
import { Probe, type ProbePlan } from './probe.ts'

/** Whether an address is well is asked by requests of our own. */
export interface HealthCheckOptions {
  /** The target of the requests (GET): `'/health'`. */
  path: string
  /** How long after the answer to one the next is sent, in milliseconds. @default 10000 */
  interval?: number
  /** How long one may take in all, in milliseconds. @default 2000 */
  timeout?: number
  /** The status that is expected, or several. @default 200 to 399 */
  status?: number | readonly number[]
  /** After how many that went well, one after the other, an address is up that was down. @default 2 */
  rise?: number
  /** After how many that failed, one after the other, an address is down that was up. @default 3 */
  fall?: number
  /** What `Host` says. @default that of the upstream */
  host?: string
}

/** The same, checked and complete. */
export interface HealthRules extends Required<Omit<HealthCheckOptions, 'status' | 'host'>> {
  readonly status: readonly number[] | undefined
  readonly host: string | undefined
}

/** Checks the options of a health check and completes them. Throws `XPS_INVALID_OPTION`. */
export function healthRules(name: string, given: HealthCheckOptions): HealthRules {
  if (typeof given !== 'object' || given === null) throw invalidOption(name, given, 'an object with a path')
  knownOptions(name, given, ['path', 'interval', 'timeout', 'status', 'rise', 'fall', 'host'])
  const { path, status, host } = given
  if (typeof path !== 'string' || !/^\/[\x21-\x7e]*$/.test(path) || path.includes('#')) {
    throw invalidOption(`${name}.path`, path, `a path such as '/health'`)
  }
  if (host !== undefined && (typeof host !== 'string' || !/^(?:\[[\da-f:.]+\]|[\w.-]+)(?::\d{1,5})?$/i.test(host))) {
    throw invalidOption(`${name}.host`, host, `a host such as 'app.test'`)
  }
  const expected = status === undefined ? undefined : typeof status === 'number' ? [status] : [...status]
  if (expected?.length === 0) throw invalidOption(`${name}.status`, status, 'at least one status')
  for (const one of expected ?? []) integerOption(`${name}.status`, one, 0, { min: 200, max: 599 })
  const times = { min: 1, max: 1_000 }
  return {
    path,
    host,
    status: expected,
    interval: durationOption(`${name}.interval`, given.interval, 10_000),
    timeout: durationOption(`${name}.timeout`, given.timeout, 2_000),
    rise: integerOption(`${name}.rise`, given.rise, 2, times),
    fall: integerOption(`${name}.fall`, given.fall, 3, times),
  }
}

/** What the checks of an address have come to. */
export interface HealthStats {
  readonly up: boolean
  /** How many checks went well, and how many failed. */
  readonly passed: number
  readonly failed: number
}

/** What several checks of one address have come to: it is up if all of them say so. */
export function allHealth(one: HealthStats, other: HealthStats): HealthStats {
  return { up: one.up && other.up, passed: one.passed + other.passed, failed: one.failed + other.failed }
}

const debug = log('health')

/** Asks an address again and again whether it is well, one question at a time. It is taken to be up at first. */
export class HealthCheck {
  readonly #plan: ProbePlan
  readonly #rules: HealthRules
  /** Told of each that went well. */
  readonly #passed: () => void
  readonly #counts = { passed: 0, failed: 0 }
  #up = true
  /** How many in a row speak against what it is taken to be. */
  #against = 0
  #probe: Probe | undefined
  #alarm: Alarm | undefined
  #clock: Clock | undefined

  constructor(plan: ProbePlan, rules: HealthRules, passed: () => void) {
    this.#plan = plan
    this.#rules = rules
    this.#passed = passed
  }

  get up(): boolean {
    return this.#up
  }

  get stats(): HealthStats {
    return { up: this.#up, ...this.#counts }
  }

  /** Asks now, and again and again. Does nothing if it does so already. */
  start(clock: Clock): void {
    if (this.#clock !== undefined) return
    this.#clock = clock
    this.#ask(clock)
  }

  /** Asks no more; nothing is left of it. */
  stop(): void {
    this.#clock = undefined
    this.#alarm?.cancel()
    this.#alarm = undefined
    this.#probe?.giveUp()
    this.#probe = undefined
    this.#up = true
    this.#against = 0
  }

  #ask(clock: Clock): void {
    const { path, host, timeout, status } = this.#rules
    const request = { path, host: host ?? this.#plan.host }
    this.#probe = new Probe(this.#plan, clock, request, timeout, (answered, why) => {
      this.#probe = undefined
      const well = answered !== undefined && (status === undefined ? answered < 400 : status.includes(answered))
      this.#learn(well, answered === undefined ? why : String(answered))
      if (this.#clock === undefined) return
      this.#alarm = clock.after(this.#rules.interval, () => this.#ask(clock))
    })
  }

  #learn(well: boolean, why: string): void {
    if (well) {
      this.#counts.passed++
      this.#passed()
    } else this.#counts.failed++
    if (well === this.#up) {
      this.#against = 0
      return
    }
    const { rise, fall } = this.#rules
    if (++this.#against < (this.#up ? fall : rise)) return
    this.#against = 0
    this.#up = well
    if (debug.enabled) debug('%s is %s (%s)', this.#plan.upstream.address, well ? 'up' : 'down', why)
  }
}
