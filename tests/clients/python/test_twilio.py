"""Webhooks of utalk as Twilio's own Python library signs them."""

import hashlib
import json
import unittest
import urllib.error
import urllib.parse
import urllib.request

from twilio.request_validator import HMAC_SHA256, RequestValidator

from daemon import ORACLE, Daemon

TOKEN = "0123456789abcdef0123456789abcdef"
PUBLIC = "https://chat.example"
PATH = "/utalk/webhooks/twilio/whatsapp"
SETTINGS = f"""
public_url = "{PUBLIC}"
[apps.utalk.webhooks]
twilio_auth_tokens = ["{TOKEN}"]
twilio_signing_keys = {{ k1 = "shared key" }}
"""


def setUpModule():
    global daemon
    if ORACLE:
        raise unittest.SkipTest("the official server has no such thing")
    daemon = Daemon(utalk=SETTINGS)


def tearDownModule():
    daemon.stop()


class Fields(dict):
    """Several values for a name, as frameworks hand them to the library."""

    def getlist(self, name):
        values = self[name]
        return values if isinstance(values, list) else [values]


class Webhooks(unittest.TestCase):
    number = 0

    def fields(self, **more):
        Webhooks.number += 1
        return Fields(MessageSid=f"SM{Webhooks.number}", From="whatsapp:+5215550001", To="whatsapp:+5215559999",
                      Body="¿Qué tal? + & =", NumMedia="0", **more)

    def post(self, target, body, signature, settings=None):
        headers = {"X-Twilio-Signature": signature, "Content-Type": "application/x-www-form-urlencoded"}
        if settings is not None:
            headers["X-Twilio-Webhooks-Signature-Settings"] = settings
        request = urllib.request.Request(daemon.url + target, body.encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status
        except urllib.error.HTTPError as refused:
            return refused.code

    def check(self, fields, target=PATH, base=PUBLIC, key=TOKEN, algorithm=None, settings=None):
        """The library believes what it has signed, the daemon does, and neither does once a field is another."""
        validator = RequestValidator(key)
        signature = validator.compute_signature(base + target, fields, algorithm)
        self.assertTrue(validator.validate(PUBLIC + target, fields, signature, algorithm))
        form = urllib.parse.urlencode(fields, doseq=True)
        self.assertEqual(self.post(target, form, signature, settings), 200)
        self.assertEqual(self.post(target, form + "&Extra=", signature, settings), 403)

    def test_forms(self):
        for more in ({}, {"MediaUrl0": "", "Empty": ""}, {"Tag": ["b", "a", "b"], "tag": "c"}, {"ñ": "é", "New Thing": "1"}):
            with self.subTest(more):
                self.check(self.fields(**more))

    def test_urls(self):
        for target in (f"{PATH}?a=1&b=&a=2", f"{PATH}?n=%C3%B1%20+"):
            with self.subTest(target):
                self.check(self.fields(), target=target)

    def test_the_port_may_be_spelled_out(self):
        self.check(self.fields(), base=f"{PUBLIC}:443")

    def test_a_signing_key(self):
        self.check(self.fields(), key="shared key", algorithm=HMAC_SHA256, settings="key=k1,algorithm=HMAC_SHA256")

    def test_a_body_with_a_hash(self):
        body = json.dumps(self.fields())
        target = f"{PATH}?bodySHA256={hashlib.sha256(body.encode()).hexdigest()}"
        validator = RequestValidator(TOKEN)
        signature = validator.compute_signature(PUBLIC + target, {})
        self.assertTrue(validator.validate(PUBLIC + target, body, signature))
        self.assertEqual(self.post(target, body, signature), 200)
        self.assertEqual(self.post(target, body + " ", signature), 403)
