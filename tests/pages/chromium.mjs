// Starts the headless Chromium that an npm package carries. Argument: the directory of node_modules.
import { createRequire } from 'node:module'
import { join } from 'node:path'

export const require = createRequire(join(process.argv[2], 'index.js'))

export async function launch() {
  const { chromium } = require('playwright-core')
  // The package carries a browser with the libraries that it needs, which it unpacks on Lambda.
  process.env.AWS_EXECUTION_ENV = 'AWS_Lambda_nodejs22.x'
  const { default: carried } = require('@sparticuz/chromium')
  // In a single process, closing a page would end the browser; and pages have their origins.
  const unwanted = ['--single-process', '--no-zygote', '--disable-web-security']
  const args = carried.args.filter((arg) => !unwanted.includes(arg))
  const executablePath = await carried.executablePath()
  for (let attempt = 1; ; attempt++) {
    try {
      return await chromium.launch({ executablePath, args })
    } catch (error) {
      if (attempt === 3) throw error // on a busy machine the browser may die as it starts
    }
  }
}
