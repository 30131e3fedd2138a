import createClient, { type Middleware } from "openapi-fetch";
import createQueryHooks from "openapi-react-query";
import { errorOf } from "./problem";
import type { components, paths } from "./schema";

export type Schemas = components["schemas"];

const UNSAFE = new Set(["POST", "PUT", "PATCH", "DELETE"]);

let csrfToken: string | null = null;

/** Kept in memory only: a reload asks `/api/me` for it again. */
export function setCsrfToken(token: string | null): void {
  csrfToken = token;
}

const csrf: Middleware = {
  onRequest({ request }) {
    if (csrfToken !== null && UNSAFE.has(request.method)) {
      request.headers.set("X-CSRF-Token", csrfToken);
    }
    return request;
  },
};

const problems: Middleware = {
  async onResponse({ response }) {
    if (!response.ok) throw await errorOf(response);
    return response;
  },
};

export const client = createClient<paths>({ credentials: "same-origin" });
client.use(csrf, problems);

/** Typed hooks over the same client: `api.useQuery("get", "/api/tools")`. */
export const api = createQueryHooks(client);
