// What people call an event and whose it is.

export function nameOf(body) {
  if (body.type === "track") return String(body.event ?? "track");
  const name = ["page", "screen"].includes(body.type) && typeof body.name === "string" ? ` ${body.name}` : "";
  return `${body.type ?? "event"}${name}`;
}

export function whoOf(body) {
  return String(body.userId || body.anonymousId || "");
}

export function aboutOf(body) {
  const properties = body.properties ?? {};
  const about = properties.campaign_name ?? properties.name ?? properties.title ?? properties.url ?? properties.product;
  const campaign = body.context?.campaign?.name;
  return [about, campaign].map((each) => (typeof each === "string" ? each : "")).find((each) => each) ?? "";
}
