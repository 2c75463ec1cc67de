"""Password hashes as other people's programs make them: one JSON object a line.

Each line has `form`, `password`, `hash` and `made_by`. The salts are new each time. Django, passlib, bcrypt and
argon2-cffi write their own forms; those of Keycloak and Firebase, which are no Python programs, are put together here
from the primitives of hashlib, argon2-cffi and cryptography.
"""

import base64
import hashlib
import importlib.metadata
import json
import os
import sys

import argon2.low_level
import bcrypt
import django.conf
import django.contrib.auth.hashers as django_hashers
import passlib.hash
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

SHORT = "hunter2"
LONG = "a long password of seventy bytes and more, of which bcrypt does not see the end"
DECOMPOSED = "cafe\u0301 im Park"

django.conf.settings.configure(PASSWORD_HASHERS=[])


def version(package):
    return f"{package} {importlib.metadata.version(package)}"


def text(raw):
    return base64.b64encode(raw).decode()


def emit(form, password, hashed, made_by):
    print(json.dumps({"form": form, "password": password, "hash": hashed, "made_by": made_by}))


def by_django(password):
    hashers = [
        django_hashers.PBKDF2PasswordHasher,
        django_hashers.PBKDF2SHA1PasswordHasher,
        django_hashers.Argon2PasswordHasher,
        django_hashers.BCryptPasswordHasher,
        django_hashers.BCryptSHA256PasswordHasher,
        django_hashers.ScryptPasswordHasher,
    ]
    for kind in hashers:
        hasher = kind()
        if kind is django_hashers.BCryptPasswordHasher and len(password.encode()) > 72:
            continue
        if hasattr(hasher, "rounds"):
            hasher.rounds = 6
        if hasattr(hasher, "iterations"):
            hasher.iterations = 1_000
        hashed = hasher.encode(password, hasher.salt())
        emit(f"django {hasher.algorithm}", password, hashed, version("Django"))


def by_passlib(password):
    for name in ["pbkdf2_sha1", "pbkdf2_sha256", "pbkdf2_sha512"]:
        hasher = getattr(passlib.hash, name).using(rounds=1_000)
        emit(f"passlib {name}", password, hasher.hash(password), version("passlib"))
    for ident in ["$scrypt$", "$7$"]:
        hasher = passlib.hash.scrypt.using(rounds=10, ident=ident)
        emit(f"passlib {ident}", password, hasher.hash(password), version("passlib"))
    for name in ["ldap_salted_sha1", "ldap_salted_sha256", "ldap_salted_sha512"]:
        emit(f"passlib {name}", password, getattr(passlib.hash, name).hash(password), version("passlib"))


def by_bcrypt(password):
    if len(password.encode()) > 72:
        return
    for prefix in [b"2a", b"2b"]:
        salt = bcrypt.gensalt(rounds=6, prefix=prefix)
        hashed = bcrypt.hashpw(password.encode(), salt).decode()
        emit(f"bcrypt {prefix.decode()}", password, hashed, version("bcrypt"))
    # PHP writes the same under this name.
    emit("bcrypt 2y", password, "$2y$" + hashed[4:], version("bcrypt"))


def by_argon2(password):
    kinds = {"id": argon2.low_level.Type.ID, "i": argon2.low_level.Type.I}
    for number in [16, 19]:
        for name, kind in kinds.items():
            hashed = argon2.low_level.hash_secret(
                password.encode(), os.urandom(16), time_cost=3, memory_cost=256, parallelism=2,
                hash_len=32, type=kind, version=number,
            )
            emit(f"argon2{name} v={number}", password, hashed.decode(), version("argon2-cffi"))


def keycloak(algorithm, iterations, parameters, salt, value):
    return json.dumps({
        "type": "password",
        "userLabel": "My password",
        "createdDate": 1700000000000,
        "secretData": json.dumps({"value": text(value), "salt": text(salt), "additionalParameters": {}}),
        "credentialData": json.dumps({
            "hashIterations": iterations, "algorithm": algorithm, "additionalParameters": parameters,
        }),
    })


def by_keycloak(password):
    for algorithm, digest, length in [
        ("pbkdf2", "sha1", 64), ("pbkdf2-sha256", "sha256", 64), ("pbkdf2-sha512", "sha512", 64),
    ]:
        salt = os.urandom(16)
        value = hashlib.pbkdf2_hmac(digest, password.encode(), salt, 1_000, length)
        emit(f"keycloak {algorithm}", password, keycloak(algorithm, 1_000, {}, salt, value), "hashlib")
    salt = os.urandom(16)
    value = argon2.low_level.hash_secret_raw(
        password.encode(), salt, time_cost=5, memory_cost=512, parallelism=1, hash_len=32,
        type=argon2.low_level.Type.ID, version=19,
    )
    parameters = {
        "hashLength": ["32"], "memory": ["512"], "type": ["id"], "version": ["1.3"], "parallelism": ["1"],
    }
    emit("keycloak argon2", password, keycloak("argon2", 5, parameters, salt, value), version("argon2-cffi"))


def by_firebase(password):
    signer_key, separator, salt = os.urandom(64), b"\x07", os.urandom(10)
    key = hashlib.scrypt(password.encode(), salt=salt + separator, n=1 << 10, r=8, p=1, dklen=32)
    encryptor = Cipher(algorithms.AES(key), modes.CTR(bytes(16))).encryptor()
    hashed = json.dumps({
        "passwordHash": text(encryptor.update(signer_key) + encryptor.finalize()),
        "salt": text(salt),
        "signerKey": text(signer_key),
        "saltSeparator": text(separator),
        "rounds": 8,
        "memCost": 10,
    })
    emit("firebase", password, hashed, version("cryptography"))


def main():
    for password in [SHORT, LONG, DECOMPOSED]:
        for make in [by_django, by_passlib, by_bcrypt, by_argon2, by_keycloak, by_firebase]:
            make(password)


if __name__ == "__main__":
    sys.exit(main())
