import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { JobletError } from '../../shared/errors.ts';
import { childrenOf, parseXml, textOf } from '../../shared/xml.ts';
import { parseCredentials } from './credentials.ts';
import { formatParts, parseObjects, parseRefusal } from './s3-answers.ts';

const escaped = (text: string) =>
  text.replaceAll(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);

test('a list is read as it was written, whatever is in its keys', () => {
  const fields = { key: fc.string({ maxLength: 100 }), bytes: fc.maxSafeNat() };
  const entry = fc.record(fields, { noNullPrototype: true });
  fc.assert(
    fc.property(fc.array(entry), (entries) => {
      const contents = entries.map(
        ({ key, bytes }) => `<Contents><Key>${escaped(key)}</Key><Size>${bytes}</Size></Contents>`,
      );
      const text = `<?xml version="1.0"?>\n<ListBucketResult xmlns="s3">${contents.join('\n')}</ListBucketResult>`;
      assert.deepEqual(parseObjects(text), { entries, next: '' });
    }),
  );
});

test('whatever is answered is read or refused', () => {
  const word = fc.constantFrom('<', '>', '/', 'a', '<a>', '</a>', '<a/>', '&amp;', '<!', '<?', ' ');
  const noise = fc.array(fc.oneof(word, fc.string())).map((words) => words.join(''));
  fc.assert(
    fc.property(noise, (text) => {
      try {
        parseXml(text);
      } catch (error) {
        assert.ok(error instanceof JobletError && error.kind === 'unavailable');
      }
      assert.ok(parseRefusal(text).message.length <= 200);
    }),
  );
});

test('answers made to be slow or big are refused at once', () => {
  const long = 4 << 20;
  for (const text of [
    `<${'a'.repeat(long)}`,
    '<a>'.repeat(long / 3),
    '<a/>'.repeat(long / 4),
    `<?${'?'.repeat(long)}`,
    `<a>${'&'.repeat(long)}<`,
    '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><x>&b;</x>',
  ]) {
    const began = performance.now();
    assert.throws(() => parseXml(text), JobletError);
    assert.ok(performance.now() - began < 2000);
  }
});

test('the parts of an upload are written as XML', () => {
  const parts = [{ number: 1, etag: '"<&>"' }];
  const [part] = childrenOf(parseXml(formatParts(parts)), 'Part');
  assert.ok(part);
  assert.equal(textOf(part, 'ETag'), '"<&>"');
});

test('keys are read from the file that other programs of S3 read, and said to nobody', () => {
  const text = `# comment
[other]
aws_access_key_id = no
[default]
aws_access_key_id = AKIDEXAMPLE
aws_secret_access_key=a/b+c=
region = eu-central-1
`;
  assert.deepEqual(parseCredentials(text, 'f'), {
    accessKeyId: 'AKIDEXAMPLE',
    secretAccessKey: 'a/b+c=',
    sessionToken: '',
  });
  const broken = 'aws_access_key_id = KEY\naws_secret_access_key = with space\n';
  assert.throws(
    () => parseCredentials(broken, 'f'),
    (error: Error) => {
      assert.doesNotMatch(error.message, /with space|KEY$/);
      return error instanceof JobletError;
    },
  );
});
