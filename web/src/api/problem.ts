import type { components } from "./schema";

export type Problem = components["schemas"]["Problem"];

/** What every failed call of the API becomes: one error that carries the server's sentence. */
export class ApiError extends Error {
  readonly status: number;
  readonly code: string;
  readonly fields: readonly { field: string; message: string }[];

  constructor(
    problem: Pick<Problem, "status" | "code" | "detail"> & { errors?: Problem["errors"] },
  ) {
    super(problem.detail);
    this.name = "ApiError";
    this.status = problem.status;
    this.code = problem.code;
    this.fields = problem.errors ?? [];
  }
}

function isProblem(value: unknown): value is Problem {
  return (
    typeof value === "object" &&
    value !== null &&
    typeof (value as Problem).detail === "string" &&
    typeof (value as Problem).code === "string"
  );
}

/** Reads a failed answer; a proxy in between may have sent something that is no problem document. */
export async function errorOf(response: Response): Promise<ApiError> {
  const body: unknown = await response
    .clone()
    .json()
    .catch(() => null);
  if (isProblem(body)) return new ApiError({ ...body, status: response.status });
  return new ApiError({
    status: response.status,
    code: "unexpected_answer",
    detail: `The server answered with status ${response.status} and no explanation.`,
  });
}

/** One sentence for a person, whatever was thrown. */
export function sentenceOf(error: unknown): string {
  if (error instanceof ApiError) {
    const fields = error.fields.map((f) => `${f.field}: ${f.message}`);
    return fields.length > 0 ? `${error.message} (${fields.join("; ")})` : error.message;
  }
  // fetch rejects with a TypeError when there is no answer at all.
  if (error instanceof TypeError) {
    return "The Polydev server does not answer. Check that it is running and that you are online.";
  }
  return "Something unexpected happened in this page. Reload it and try again.";
}

/** Why data that was loaded before could not be loaded anew. */
export function staleness(error: unknown): string {
  const silent = error instanceof TypeError;
  return `Not up to date: ${silent ? "the server does not answer." : sentenceOf(error)}`;
}

/** Is it worth asking again without a person changing something first? */
export function isTransient(error: unknown): boolean {
  return error instanceof ApiError ? error.status >= 500 || error.status === 429 : true;
}
