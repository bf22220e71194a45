// Opens pages that send requests to another server, and prints what each page learns of the answers.
// Standard input: {pages, endpoint, file}; the file is a presigned URL. The requests read a file, upload one by a form, create a Glue
// job, make every call fail, and reset the server.
import { readFileSync } from 'node:fs'
import { launch } from './chromium.mjs'

const { pages, endpoint, file } = JSON.parse(readFileSync(0, 'utf8'))
const browser = await launch()
const learned = {}
for (const [name, url] of Object.entries(pages)) {
  const page = await browser.newPage()
  await page.goto(url)
  learned[name] = await page.evaluate(
    async ({ name, endpoint, file }) => {
      const attempt = async (address, options) => {
        try {
          return await (await fetch(new URL(address, endpoint), options)).text()
        } catch (error) {
          return error.name
        }
      }
      const read = await attempt(file)
      const shown = await new Promise((resolve) => {
        const script = document.createElement('script')
        script.onload = () => resolve('loaded')
        script.onerror = () => resolve('refused')
        script.src = file
        document.head.append(script)
      })
      await new Promise((resolve) => {
        const frame = document.createElement('iframe')
        frame.name = 'answer'
        document.body.append(frame)
        const form = document.createElement('form')
        Object.assign(form, { method: 'post', enctype: 'multipart/form-data', target: 'answer' })
        form.action = `${endpoint}/rows`
        for (const [field, value] of [['key', `${name}.py`], ['success_action_status', '201'], ['file', 'print()']]) {
          const input = document.createElement('input')
          Object.assign(input, { name: field, value })
          form.append(input)
        }
        document.body.append(form)
        frame.onload = () => resolve()
        form.submit()
      })
      const scope = 'Credential=k/20260101/us-east-1/glue/aws4_request'
      const job = await attempt('/', {
        method: 'POST',
        headers: {
          authorization: `AWS4-HMAC-SHA256 ${scope}, SignedHeaders=host, Signature=0`,
          'x-amz-target': 'AWSGlue.CreateJob',
          'content-type': 'application/x-amz-json-1.1',
        },
        body: JSON.stringify({
          Name: name,
          Role: 'arn:aws:iam::123456789012:role/r',
          Command: { Name: 'glueetl', ScriptLocation: `s3://rows/${name}.py` },
        }),
      })
      await attempt('/_local/faults', { method: 'POST', mode: 'no-cors', body: '{"fault": "throttle", "times": 0}' })
      await attempt('/moto-api/reset', { method: 'POST', mode: 'no-cors' })
      return { read, shown, job }
    },
    { name, endpoint, file },
  )
  await page.close()
}
await browser.close()
process.stdout.write(JSON.stringify(learned))
