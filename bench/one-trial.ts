// Runs one trial in this process and hands its result to the parent. Started by run.ts only.

import type { Trial, TrialOptions } from './trial.ts';

const [name = '', optionsText = '{}'] = process.argv.slice(2);
const { trial } = (await import(`./trials/${name}.ts`)) as { trial: Trial };
const result = await trial.body(JSON.parse(optionsText) as TrialOptions);
process.send?.({ title: trial.title, result });
process.disconnect?.();
