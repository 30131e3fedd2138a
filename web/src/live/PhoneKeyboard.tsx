import { ActionIcon, Tooltip } from "@mantine/core";
import { IconKeyboard } from "@tabler/icons-react";
import { type FormEvent, type KeyboardEvent, useRef } from "react";
import { keysymOfKey, keysymsOfText } from "./keysyms";
import styles from "./live.module.css";
import type { Screen } from "./screen";

/** Opens a phone's on-screen keyboard and passes on what is typed; nothing is kept in the field. */
export function PhoneKeyboard({ screen }: { screen: Screen | null }) {
  const field = useRef<HTMLInputElement>(null);
  const press = (keysym: number) => screen?.press(keysym);
  const named = (event: KeyboardEvent) => {
    const keysym = keysymOfKey(event.key);
    if (keysym === null) return;
    event.preventDefault();
    press(keysym);
  };
  const typed = (event: FormEvent<HTMLInputElement>) => {
    const input = event.nativeEvent as InputEvent;
    // Some phones name no key for Backspace, only what it does.
    if (input.inputType === "deleteContentBackward") press(0xff08);
    else for (const keysym of keysymsOfText(input.data ?? "")) press(keysym);
    event.currentTarget.value = "";
  };
  return (
    <>
      <input
        ref={field}
        className={styles.keys}
        onFocus={() => screen?.keyboardElsewhere(true)}
        onBlur={() => screen?.keyboardElsewhere(false)}
        onKeyDown={named}
        onInput={typed}
        aria-label="Type into the machine"
        autoCapitalize="off"
        autoComplete="off"
        autoCorrect="off"
        spellCheck={false}
        tabIndex={-1}
      />
      <Tooltip label="On-screen keyboard">
        <ActionIcon
          variant="subtle"
          color="gray"
          aria-label="On-screen keyboard"
          onClick={() => field.current?.focus({ preventScroll: true })}
        >
          <IconKeyboard size={17} />
        </ActionIcon>
      </Tooltip>
    </>
  );
}
