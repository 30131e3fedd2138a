import { createBrowserRouter } from "react-router";
import { RequireMe } from "../auth/RequireMe";
import { AdminMachines } from "../pages/AdminMachines";
import { AdminUsers } from "../pages/AdminUsers";
import { Keys } from "../pages/Keys";
import { LiveView } from "../pages/LiveView";
import { Machines } from "../pages/Machines";
import { NotFound, PageFault } from "../pages/NotFound";
import { ReceiptPage } from "../pages/ReceiptPage";
import { Receipts } from "../pages/Receipts";
import { SessionPage } from "../pages/SessionPage";
import { Sessions } from "../pages/Sessions";
import { Tools } from "../pages/Tools";
import { Shell } from "./Shell";

export const router = createBrowserRouter([
  {
    element: <RequireMe />,
    errorElement: <PageFault />,
    children: [
      {
        element: <Shell />,
        children: [
          {
            errorElement: <PageFault />,
            children: [
              { path: "/", element: <Tools /> },
              { path: "/login", element: null },
              { path: "/view/:sessionId", element: <LiveView /> },
              { path: "/sessions", element: <Sessions /> },
              { path: "/sessions/:sessionId", element: <SessionPage /> },
              { path: "/receipts", element: <Receipts /> },
              { path: "/receipts/:receiptId", element: <ReceiptPage /> },
              { path: "/machines", element: <Machines /> },
              { path: "/keys", element: <Keys /> },
              { path: "/admin/machines", element: <AdminMachines /> },
              { path: "/admin/users", element: <AdminUsers /> },
              { path: "*", element: <NotFound /> },
            ],
          },
        ],
      },
    ],
  },
]);
