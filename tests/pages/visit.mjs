// Opens pages in headless Chromium; prints their console, requests, width and accessibility faults.
// Standard input: a JSON list of {file, width, scheme}. Argument: the directory of node_modules.
import { readFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { launch, require } from './chromium.mjs'

const browser = await launch()
const visits = []
for (const { file, width, scheme } of JSON.parse(readFileSync(0, 'utf8'))) {
  const page = await browser.newPage({ viewport: { width, height: 900 }, colorScheme: scheme })
  const lines = []
  const requests = []
  page.on('console', (message) => lines.push(`${message.type()}: ${message.text()}`))
  page.on('pageerror', (error) => lines.push(`error: ${error.message}`))
  page.on('request', (request) => requests.push(request.url()))
  const url = pathToFileURL(file).href
  await page.goto(url)
  const pageWidth = await page.evaluate(() => document.documentElement.scrollWidth)
  await page.addScriptTag({ path: require.resolve('axe-core/axe.min.js') })
  const faults = await page.evaluate(async () => {
    const { violations } = await globalThis.axe.run()
    return violations.map((violation) => `${violation.id}: ${violation.nodes[0].html}`)
  })
  visits.push({
    console: lines,
    requests: requests.filter((request) => request !== url && !request.startsWith('data:')),
    width: pageWidth,
    faults,
  })
  await page.close()
}
await browser.close()
process.stdout.write(JSON.stringify(visits))
