// What the clients of the HTTP benchmarks ask for, and what they must get.
import { bodyOf } from '../lib/bodies.js'

/** What the upstream answers. */
export const answers = { small: expected('/s', 130), large: expected('/l', 100_000) }

/** The files of a static site. */
export const files = {
  small: expected('/small.txt', 1_000),
  large: expected('/large.bin', 100_000),
  huge: expected('/huge.bin', 256_000_000),
}

/** A request as a browser sends it: 534 bytes if the target has two, 12 fields. */
export function request(target) {
  return Buffer.from(
    [
      `GET ${target} HTTP/1.1`,
      'Host: shop.example.test',
      'Connection: keep-alive',
      'Cache-Control: max-age=0',
      'Upgrade-Insecure-Requests: 1',
      'User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
      'Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8',
      'Sec-Fetch-Site: same-origin',
      'Sec-Fetch-Mode: navigate',
      'Referer: http://shop.example.test/',
      'Accept-Encoding: gzip, deflate, br, zstd',
      'Accept-Language: en-GB,en;q=0.9',
      'Cookie: session=6f1d2c9ab47e4f0d',
      '',
      '',
    ].join('\r\n'),
    'latin1',
  )
}

/** The body that is expected for a target. */
function expected(target, length) {
  return { target, ...bodyOf(length) }
}
