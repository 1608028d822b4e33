const read = async (path) => (await fetch(`/_sandbox/${path}`)).json();

function fill(id, rows) {
  document.getElementById(id).replaceChildren(...rows.map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
}

async function refresh() {
  const [stats, users, events] = await Promise.all([
    read("stats"), read("users?limit=20"), read("events?verdict=all&newest=true&limit=50"),
  ]);
  document.getElementById("counts").textContent =
    `${stats.events_stored} events stored, ${stats.duplicates} duplicates, ${stats.invalid} invalid, ${stats.users} users`;
  fill("users", users.users.map((u) => [u.user_id ?? u.devices[0], Object.entries(u.experiments).map(([f, v]) => `${f}: ${v}`).join(", ")]));
  fill("events", events.events.reverse().map((e) => [e.sandbox.seq, e.sandbox.verdict, e.event_type, e.user_id ?? e.device_id, (e.sandbox.flags ?? []).join(", "), e.sandbox.variant ?? ""]));
}

refresh();
setInterval(refresh, 1000);
