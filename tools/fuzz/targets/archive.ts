// What an S3 store answers, and the file of keys that it is used with.

import assert from 'node:assert/strict';
import { parseCredentials } from '../../../src/daemon/archive/credentials.ts';
import {
  checkCompleted,
  parseObjects,
  parseParts,
  parseRefusal,
  parseUploadId,
  parseUploads,
} from '../../../src/daemon/archive/s3-answers.ts';
import { orRefused, target } from '../target.ts';

export default target({
  seeds: [
    '<?xml version="1.0"?><ListBucketResult xmlns="s3"><IsTruncated>true</IsTruncated><Contents><Key>a/b</Key><Size>12</Size></Contents><NextContinuationToken>t</NextContinuationToken></ListBucketResult>',
    '<ListMultipartUploadsResult><Upload><Key>k</Key><UploadId>u</UploadId></Upload></ListMultipartUploadsResult>',
    '<ListPartsResult><Part><PartNumber>1</PartNumber><ETag>&quot;e&quot;</ETag><Size>5</Size></Part></ListPartsResult>',
    '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
    '<Error><Code>NoSuchKey</Code><Message>none</Message></Error>',
    '[default]\naws_access_key_id = a\naws_secret_access_key = b\n',
  ],
  words: ['</', '/>', '<!DOCTYPE', '<![CDATA[', '&#x10ffff;', '&lt;', '<Contents>', '<Size>'],
  run(input) {
    const text = input.toString('utf8');
    for (const { bytes } of orRefused(() => parseObjects(text), 'unavailable')?.entries ?? []) {
      assert.ok(Number.isSafeInteger(bytes) && bytes >= 0);
    }
    for (const part of orRefused(() => parseParts(text), 'unavailable')?.entries ?? []) {
      assert.ok(part.number >= 0 && part.number <= 10_000);
    }
    orRefused(() => parseUploads(text), 'unavailable');
    orRefused(() => parseUploadId(text), 'unavailable');
    orRefused(() => checkCompleted(text), 'unavailable');
    const { code, message } = parseRefusal(text);
    assert.ok(code.length + message.length <= 400);
    const keys = orRefused(() => parseCredentials(text, 'file'), 'unavailable');
    assert.ok(keys === undefined || /^[\x21-\x7e]+$/.test(keys.accessKeyId + keys.secretAccessKey));
  },
});
