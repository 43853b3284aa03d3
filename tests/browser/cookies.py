"""A browser without a screen: keeps cookies, follows no redirect, sends forms."""

import re
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field


class _Staying(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_):
        return None


_opener = urllib.request.build_opener(_Staying)


@dataclass
class Answer:
    status: int
    headers: object
    text: str

    @property
    def location(self):
        return self.headers["location"]

    @property
    def csrf(self):
        return re.search(r'name="csrf" value="([^"]+)"', self.text)[1]


@dataclass
class Browser:
    url: str
    cookies: dict = field(default_factory=dict)

    def ask(self, path, form=None, **headers):
        request = urllib.request.Request(path if path.startswith("http") else self.url + path)
        if form is not None:
            request.data = urllib.parse.urlencode(form).encode()
        if self.cookies:
            request.add_header("cookie", "; ".join(f"{name}={value}" for name, value in self.cookies.items()))
        for name, value in headers.items():
            request.add_header(name.replace("_", "-"), value)
        try:
            answer = _opener.open(request, timeout=30)
        except urllib.error.HTTPError as error:
            answer = error
        with answer:
            for line in answer.headers.get_all("set-cookie") or ():
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value.strip('"')
                if "Max-Age=0" in line:
                    del self.cookies[name]
            return Answer(answer.status, answer.headers, answer.read().decode())

    def sign_in(self, email="ann@example.com", password="correct horse battery", **headers):
        return self.ask("/sign-in", {"email": email, "password": password, "next": "/default"}, **headers)

    def send(self, path, page, **form):
        """Send a form of a page of ours."""
        return self.ask(path, {"csrf": self.ask(page).csrf, **form})
