// Opens notebooks in a running JupyterLab, without executing anything, and prints what they show.
// Standard input: {url, paths, pictures}. For each path: the outputs of its cells, in their order.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { launch } from './chromium.mjs'

const { url, paths, pictures } = JSON.parse(readFileSync(0, 'utf8'))
const browser = await launch()
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
const shown = {}
for (const path of paths) {
  const page = await context.newPage()
  await page.goto(`${url}doc/tree/${path}?reset`)
  // The last cell holds a formula: once it is typeset, so is everything before it.
  await page.waitForSelector('.jp-MarkdownCell:last-of-type mjx-container', { timeout: 120_000 })
  await page.waitForFunction(() => [...document.images].every((image) => image.complete))
  await page.evaluate(() => document.querySelectorAll('details').forEach((each) => (each.open = true)))
  shown[path] = await page.evaluate(() =>
    [...document.querySelectorAll('.jp-OutputArea-output')].map((output) => ({
      text: output.innerText,
      inlined: output.querySelectorAll('svg').length,
      formulas: output.querySelectorAll('mjx-container').length,
      tables: output.querySelectorAll('table').length,
      images: [...output.querySelectorAll('img')].map((image) => ({
        alt: image.alt,
        drawn: image.naturalWidth > 0,
        width: image.getBoundingClientRect().width,
      })),
    })),
  )
  if (pictures) {
    const height = await page.evaluate(() => document.querySelector('.jp-WindowedPanel-inner, .jp-Notebook').scrollHeight)
    await page.setViewportSize({ width: 1280, height: Math.min(height + 200, 12_000) })
    await page.waitForTimeout(1_000)
    await page.screenshot({ path: join(pictures, `${path}.png`) })
  }
  await page.close()
}
await browser.close()
process.stdout.write(JSON.stringify(shown))
