import { knownOptions } from '../options.ts'
import { defaultLimits, type LimitOptions, type Limits, limitNames, withLimits } from './limits.ts'
import { defaultTimeouts, type TimeoutOptions, type Timeouts, timeoutNames, withTimeouts } from './timeouts.ts'

/** What can be changed while a core or listener runs. */
export interface RuleOptions extends LimitOptions, TimeoutOptions {}

/** Limits and timeouts in force. A change makes new rules; sessions keep the timeouts that they began with. */
export interface Rules {
  readonly limits: Limits
  readonly timeouts: Timeouts
}

/** The names of the options that make rules. */
export const ruleNames: readonly (keyof RuleOptions)[] = [...limitNames, ...timeoutNames]

/** What holds where nothing else is said. */
export const defaultRules: Rules = { limits: defaultLimits, timeouts: defaultTimeouts }

/** The given options over rules that hold otherwise. Throws `XPS_INVALID_OPTION`, and changes nothing. */
export function withRules(base: Rules, given: RuleOptions): Rules {
  return { limits: withLimits(base.limits, given), timeouts: withTimeouts(base.timeouts, given) }
}

/** Of an options object, those that make rules. */
export function ruleOptions(options: RuleOptions): RuleOptions {
  const rules: Record<string, unknown> = {}
  for (const name of ruleNames) if (options[name] !== undefined) rules[name] = options[name]
  return rules as RuleOptions
}

/** Refuses a patch with names that are no rules. */
export function checkPatch(patch: RuleOptions, more: readonly string[] = []): void {
  knownOptions('patch', patch, [...ruleNames, ...more])
}
